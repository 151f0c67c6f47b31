//! `lockgate-backend check`: everything that is wrong with a configuration, before anything runs with it.

use std::path::Path;

use lockgate_backend::DiskStore;
use lockgate_backend::config::Config;
use lockgate_settings::{Configuration as _, Origin, Problem, Problems};

/// What is wrong with the file, with the environment over it, and with the data directory that it names.
pub(crate) fn problems(file: &Path) -> Problems {
    let (config, mut problems) = Config::survey(file);
    // What is mistaken has its default, which may be another directory than was meant.
    let is_meant = !problems.iter().any(|problem| problem.key.is_empty() || problem.key.starts_with("storage"));
    if let Some(config) = config.filter(|_| is_meant) {
        for message in DiskStore::problems(&config.storage.data) {
            let origin = Origin::File { path: file.to_owned(), at: None };
            problems.push(Problem { origin, key: "storage.data".to_owned(), message });
        }
    }
    problems
}
