//! `lockgate-backend check`: everything that is wrong with a configuration, before anything runs with it.

use std::path::Path;

use lockgate_backend::config::Config;
use lockgate_backend::{DirectoryProblem, DiskStore};
use lockgate_settings::{Configuration as _, Origin, Problem, Problems};

/// What is wrong with the file, with the environment over it, and with the data directory that it names; and what is
/// served all the same.
pub(crate) fn findings(file: &Path) -> (Problems, Vec<DirectoryProblem>) {
    let (config, mut problems) = Config::survey(file);
    let mut warnings = Vec::new();
    // What is mistaken has its default, which may be another directory than was meant.
    let is_meant = !problems.iter().any(|problem| problem.key.is_empty() || problem.key.starts_with("storage"));
    if let Some(directory) = config.filter(|_| is_meant).as_ref().and_then(|config| config.storage.data.directory()) {
        let found = DiskStore::problems(directory);
        let (read_only, unusable): (Vec<_>, Vec<_>) = found.into_iter().partition(|problem| problem.is_read_only);
        warnings = read_only;
        for problem in unusable {
            let origin = Origin::File { path: file.to_owned(), at: None };
            problems.push(Problem { origin, key: "storage.data".to_owned(), message: problem.to_string() });
        }
    }
    (problems, warnings)
}
