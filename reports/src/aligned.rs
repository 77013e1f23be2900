//! Rows of text in columns that line up, as a terminal shows them.

use std::fmt::Write as _;

/// The head and the rows, a line each; two spaces between columns, and none at the end of a line. Columns stand to the right but for
/// those that `is_left` names.
pub(crate) fn lines(
    head: &[String],
    rows: &[Vec<String>],
    is_left: impl Fn(usize) -> bool,
) -> String {
    let all = || std::iter::once(head).chain(rows.iter().map(Vec::as_slice));
    let wide = |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(wide).collect();
    let mut text = String::new();
    for row in all() {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            let _ = if is_left(column) {
                write!(line, "{gap}{cell:<width$}")
            } else {
                write!(line, "{gap}{cell:>width$}")
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
