//! A table as the pages show it.

/// Words in the first column and figures in the others.
pub(crate) struct Table {
    pub(crate) caption: String,
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
    /// What is to be said below it; may be empty.
    pub(crate) note: String,
}

impl Table {
    /// Without a note.
    pub(crate) fn new(caption: &str, head: &[&str], rows: Vec<Vec<String>>) -> Table {
        let head = head.iter().map(|word| (*word).to_owned()).collect();
        Table { caption: caption.to_owned(), head, rows, note: String::new() }
    }
}
