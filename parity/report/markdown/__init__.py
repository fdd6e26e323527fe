"""The report as Markdown, in English or Chinese; also one verdict's section by itself."""

from parity.report.markdown.document import comparison, document
from parity.report.markdown.verdict import verdict_section

__all__ = ["comparison", "document", "verdict_section"]
