//! `lockgate-backend check`: everything that is wrong with a configuration, before anything runs with it.

use std::path::Path;

use lockgate_backend::config::{Bucket, Config, Data, S3};
use lockgate_backend::{DirectoryProblem, DiskStore, bucket_problems};
use lockgate_settings::{Configuration as _, Origin, Problem, Problems};

/// What is wrong with the file, with the environment over it, and with the data directory or the bucket that it names;
/// and what is served all the same.
pub(crate) fn findings(file: &Path) -> (Problems, Vec<DirectoryProblem>) {
    let (config, mut problems) = Config::survey(file);
    let mut warnings = Vec::new();
    // What is mistaken has its default, which may be another directory than was meant.
    let is_of_data = |key: &str| key.is_empty() || key.starts_with("storage") || key.starts_with("s3");
    let is_meant = !problems.iter().any(|problem| is_of_data(&problem.key));
    if let Some(config) = config.filter(|_| is_meant) {
        let unusable = match &config.storage.data {
            Data::Directory(directory) => {
                let found = DiskStore::problems(directory);
                let (read_only, unusable): (Vec<_>, Vec<_>) =
                    found.into_iter().partition(|problem| problem.is_read_only);
                warnings = read_only;
                unusable.iter().map(ToString::to_string).collect()
            }
            Data::Bucket(bucket) => problems_of(bucket, &config.s3),
        };
        for message in unusable {
            let origin = Origin::File { path: file.to_owned(), at: None };
            problems.push(Problem { origin, key: "storage.data".to_owned(), message });
        }
    }
    (problems, warnings)
}

fn problems_of(bucket: &Bucket, settings: &S3) -> Vec<String> {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(bucket_problems(bucket, settings)).iter().map(ToString::to_string).collect(),
        Err(error) => vec![format!("it cannot be tried: {error}")],
    }
}
