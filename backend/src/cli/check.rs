//! `lockgate-backend check`: everything that is wrong with a configuration, before anything runs with it.

use std::path::Path;

use lockgate_settings::{Configuration as _, Origin, Problem, Problems};

use crate::config::Config;

/// What is wrong with the file, with the environment over it, and with the data directory or the bucket that it names;
/// and what is served all the same.
pub(crate) fn findings(file: &Path) -> (Problems, Vec<String>) {
    let (config, mut problems) = Config::survey(file);
    // What is mistaken has its default, which may be another directory than was meant.
    let is_of_data = |key: &str| key.is_empty() || key.starts_with("storage") || key.starts_with("s3");
    let is_meant = !problems.iter().any(|problem| is_of_data(&problem.key));
    let mut warnings: Vec<String> = config.iter().filter_map(|config| config.admin.warning()).collect();
    let found = config.filter(|_| is_meant).map(|config| crate::problems(&config.storage, &config.s3));
    for problem in found.into_iter().flatten() {
        if problem.is_warning {
            warnings.push(format!("storage.data: {problem}"));
            continue;
        }
        let origin = Origin::File { path: file.to_owned(), at: None };
        problems.push(Problem { origin, key: "storage.data".to_owned(), message: problem.to_string() });
    }
    (problems, warnings)
}
