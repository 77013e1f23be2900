//! `index.html`: the page that a person opens.
//!
//! One file, nothing fetched, no script: it can be mailed, archived and opened in twenty years, and the
//! policy in its head forbids the rest. It answers in the order in which people ask: did it pass? if
//! not, what, by how much, and how do I see it again? and then, what did it look like? Everything that
//! came from a scenario file is escaped by the template. Nothing in it depends on the clock or the
//! machine (that is `manifest.json`'s), so the same runs give the same page.

pub(crate) mod charts;
mod held;
mod page;
pub mod picture;
pub(crate) mod table;

use crate::run::Suite;
use askama::Template;
use std::io;

/// The page.
///
/// # Errors
/// When a chart or the template cannot be rendered, which in memory does not happen.
pub fn index(suite: &Suite) -> io::Result<String> {
    written(&page::Page::new(suite)?)
}

/// The page that a template makes.
pub(crate) fn written(page: &impl Template) -> io::Result<String> {
    let mut page =
        page.render().map_err(|error| io::Error::other(format!("index.html: {error}")))?;
    // HTML has no way to write a control character; a file may have one all the same.
    page.retain(|c| c == '\n' || c == '\t' || !c.is_control());
    Ok(page)
}
