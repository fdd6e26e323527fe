"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const language = () => root.dataset.language;

  // The location hash is the only memory: "#zh", "#claims", "#zh/claims".
  const parse = (hash) => {
    const [first, ...rest] = decodeURIComponent(hash.slice(1)).split("/");
    return first === "zh" || first === "en" ? [first, rest.join("/")] : ["en", first];
  };
  const hashOf = (wanted, section) =>
    "#" + (wanted === "zh" ? ["zh", section] : [section || "en"]).filter(Boolean).join("/");

  function setLanguage(wanted) {
    root.dataset.language = wanted;
    root.lang = wanted === "zh" ? "zh-Hans" : "en";
    for (const button of all("[data-set]")) button.setAttribute("aria-pressed", button.dataset.set === wanted);
    for (const element of all("[data-en]")) {
      const words = element.dataset[wanted];
      if (element.matches("input")) element.placeholder = words;
      if (element.matches("option, title")) element.textContent = words;
      else if (!element.matches("output")) element.setAttribute("aria-label", words);
    }
    all(".filters").forEach(count);
  }

  function show(section) {
    const target = section && document.getElementById(section);
    if (!target) return;
    for (let element = target; element; element = element.parentElement) if (element.matches("details")) element.open = true;
    target.scrollIntoView(); // at once: a smooth scroll over a long page takes seconds, in which a click seems dead
    if (!target.hasAttribute("tabindex")) target.tabIndex = -1;
    target.focus({ preventScroll: true });
  }

  function followHash() {
    const [wanted, section] = parse(location.hash);
    if (wanted !== language()) setLanguage(wanted);
    show(section);
  }

  function count(filters) {
    const rows = all("tbody tr", document.getElementById(filters.dataset.table));
    const output = filters.querySelector("output");
    const shown = rows.filter((row) => !row.hidden).length;
    output.value = output.dataset[language()].replace("{shown}", shown).replace("{total}", rows.length);
  }

  function filter(filters) {
    const wanted = filters.querySelector(".filter-text").value.trim().toLowerCase();
    const verdict = filters.querySelector(".filter-verdict").value;
    for (const row of all("tbody tr", document.getElementById(filters.dataset.table))) {
      const judgement = row.dataset.judgement;
      const fits = !verdict || judgement === verdict || judgement.split(" ").includes(verdict);
      row.hidden = !fits || !row.textContent.toLowerCase().includes(wanted);
    }
    count(filters);
  }

  function sort(button) {
    const heading = button.closest("th");
    const column = [...heading.parentElement.children].indexOf(heading);
    const body = heading.closest("table").tBodies[0];
    const next = { ascending: "descending", descending: "none" }[heading.getAttribute("aria-sort")] || "ascending";
    for (const other of all("th[aria-sort]", heading.parentElement)) other.removeAttribute("aria-sort");
    if (next !== "none") heading.setAttribute("aria-sort", next);
    const value = (row) => {
      const cell = row.children[column];
      return cell.dataset.v === undefined ? cell.textContent.trim() : Number(cell.dataset.v);
    };
    const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
    const direction = next === "descending" ? -1 : 1;
    const rows = [...body.rows].sort((a, b) => a.dataset.order - b.dataset.order);
    if (next !== "none") rows.sort((a, b) => direction * compare(value(a), value(b)));
    body.append(...rows);
  }

  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      getSelection().selectAllChildren(source);
      document.execCommand("copy");
    }
    button.classList.add("copied");
    setTimeout(() => button.classList.remove("copied"), 1600);
  }

  for (const body of all("table.data tbody")) [...body.rows].forEach((row, index) => (row.dataset.order = index));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    const link = event.target.closest('a[href^="#"]');
    if (button?.matches("[data-set]")) {
      setLanguage(button.dataset.set);
      history.replaceState(null, "", hashOf(language(), parse(location.hash)[1]));
    }
    if (button?.matches(".sort")) sort(button);
    if (button?.matches(".copy")) copy(button);
    if (link) {
      event.preventDefault();
      const hash = hashOf(language(), link.hash.slice(1));
      if (location.hash === hash) followHash();
      else location.hash = hash;
    }
  });
  document.addEventListener("input", (event) => {
    const filters = event.target.closest(".filters");
    if (filters) filter(filters);
  });
  addEventListener("hashchange", followHash);
  all(".filters").forEach(count);
  followHash();
})();
