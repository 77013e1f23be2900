//! From a tree of text to a configuration that can be run, or to everything that is wrong with it, in its place.

use std::path::Path;

use super::{
    Problem, ProxyConfig,
    document::{self, Document, Error, Value},
};

impl ProxyConfig {
    /// Reads the configuration that `document` is, with the files that it names (relative ones from `folder`), and checks it.
    ///
    /// # Errors
    /// All that is wrong, each at its line and column, with what to write instead.
    pub fn from_document(document: &Document, folder: &Path) -> Result<Self, Error> {
        let mut config: Self = document.read()?;
        let mut problems = config.read_files(folder);
        let unread: Vec<_> = problems.iter().map(|problem| problem.path.clone()).collect();
        let others = config.problems().into_iter();
        problems.extend(others.filter(|problem| !unread.contains(&problem.path)));
        Error::from_problems(problems.iter().map(|problem| placed(document, problem)).collect())?;
        Ok(config)
    }
}

/// The problem in its place. What to write instead has a line of its own.
fn placed(document: &Document, problem: &Problem) -> document::Problem {
    let Problem { path, message } = problem;
    let (what, advice) = match message.split_once("; ") {
        Some((what, advice)) => (what, Some(advice.to_owned())),
        None => (&**message, share(document, path, message)),
    };
    // What begins with a noun is a sentence of its own.
    let own = ["`", "'", "a ", "an ", "there "].iter().any(|start| what.starts_with(start));
    let joint = if own { ":" } else { "" };
    let found = document.problem(path, format!("`{path}`{joint} {what}"));
    match advice {
        Some(advice) => found.help(advice),
        None => found,
    }
}

/// Who writes 50 where a share of the whole is wanted means 50 %.
fn share(document: &Document, path: &str, message: &str) -> Option<String> {
    let value = match document.get(&path.parse().ok()?)?.value {
        Value::Int(value) => value as f64,
        Value::Float(value) => value,
        _ => return None,
    };
    let is_percentage = message.starts_with("must be 0 to 1") && (1.0..=100.0).contains(&value);
    is_percentage.then(|| format!("for {value} % write {}", value / 100.0))
}
