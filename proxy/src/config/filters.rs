//! Filters as the configuration names them, and the files that they name in turn.
//!
//! A list of words, addresses or users may stand in a file of its own, whose path is relative to the folder of the configuration. Whoever loads a
//! configuration reads these files with it ([`ProxyConfig::read_files`]), so that a file that is not there is an error in the line that
//! names it, and the engine reads none.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};

use policy::filter::{Contents, FilterConfig, FromFile};

use super::{Problem, ProxyConfig};

impl ProxyConfig {
    /// Reads every file that the configuration names; `folder` is what relative paths start from. What cannot be read is a problem.
    pub fn read_files(&mut self, folder: &Path) -> Vec<Problem> {
        let mut problems = Vec::new();
        let own = self.filter.iter_mut().enumerate();
        let own = own.map(|(index, filter)| (format!("filter[{index}]"), filter));
        let routes = self.routes.iter_mut().enumerate().flat_map(|(route, config)| {
            let filters = config.filter.iter_mut().enumerate();
            filters.map(move |(index, filter)| (format!("routes[{route}].filter[{index}]"), filter))
        });
        for (place, filter) in own.chain(routes) {
            for (key, file) in filter.files() {
                match read(&folder.join(&file.path)) {
                    Ok(bytes) => file.contents = Some(Contents(Arc::from(bytes))),
                    Err(why) => {
                        let message = format!(
                            "names `{}`, which cannot be read: {why}; paths start from the folder of this file",
                            file.path
                        );
                        problems.push(Problem::new(format!("{place}.{key}"), message));
                    }
                }
            }
        }
        problems
    }

    /// Takes over the contents of files that `other` has read: a change of a configuration names the same ones mostly, and they are read once.
    pub fn share_files(&mut self, other: &Self) {
        let mut other = other.filter_configs().cloned().collect::<Vec<_>>();
        let files = other.iter_mut().flat_map(FilterConfig::files);
        let known: BTreeMap<String, Option<Contents>> =
            files.map(|(_, file)| (file.path.clone(), file.contents.clone())).collect();
        let routes = self.routes.iter_mut().flat_map(|route| &mut route.filter);
        for (_, file) in self.filter.iter_mut().chain(routes).flat_map(FilterConfig::files) {
            if let (None, Some(contents)) = (&file.contents, known.get(&file.path)) {
                file.contents.clone_from(contents);
            }
        }
    }

    /// Every filter, wherever it stands.
    fn filter_configs(&self) -> impl Iterator<Item = &FilterConfig> {
        self.filter.iter().chain(self.routes.iter().flat_map(|route| &route.filter))
    }

    /// The filters of the service of this number, in their order: the proxy's own, then those of the route.
    pub fn filters(&self, number: usize) -> impl Iterator<Item = &FilterConfig> {
        let route = number.checked_sub(1).and_then(|route| self.routes.get(route));
        self.filter.iter().chain(route.into_iter().flat_map(|route| &route.filter))
    }
}

/// What is impossible about filters at this path.
pub(super) fn problems(filters: &[FilterConfig], path: &str, problems: &mut Vec<Problem>) {
    for (index, filter) in filters.iter().enumerate() {
        if let Some((key, message)) = filter.problem() {
            problems.push(Problem::new(format!("{path}[{index}].{key}"), message));
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FromFile::MOST as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > FromFile::MOST {
        return Err(io::Error::other("it is larger than 8 MiB"));
    }
    Ok(bytes)
}
