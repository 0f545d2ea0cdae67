//! Read models: declared once, folded from the log
