//! `lockgate check`: everything that is wrong with a configuration, before anything runs with it.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use lockgate_backend::is_shown_the_password;
use lockgate_settings::{Configuration as _, Origin, Problem, Problems};

use super::Error;
use super::output::say;
use crate::access::{Access, AccessError};
use crate::app::StartError;
use crate::auth::{Defect, HtpasswdError, MachineTokens, TokenKeys, Users, Warning};
use crate::config::{Auth, Config, S3, Storage, Tls};
use crate::files::Exposure;
use crate::tls::CertificateStore;

/// Tell everything that is wrong with a configuration, and start nothing.
///
/// The file, the environment that overrides it, and the certificates, keys and users that it names are
/// read as `serve` reads them. Each problem is a line with its place and what to do about it. What works
/// today but may not tomorrow, as a certificate that ends within two weeks, is a warning.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "conf/lockgate.toml")]
    config: PathBuf,
}

#[derive(Debug, Default)]
struct Findings {
    problems: Problems,
    warnings: Vec<String>,
    /// What is right, and may be thought otherwise.
    notes: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let findings = inspect(&args.config);
    for warning in &findings.warnings {
        lockgate_settings::complain(format_args!("warning: {warning}"));
    }
    for note in &findings.notes {
        say(format_args!("note: {note}"));
    }
    if !findings.problems.is_empty() {
        return Err(Error::Config(findings.problems));
    }
    say(format_args!("{}: ok", args.config.display()));
    Ok(())
}

fn inspect(file: &Path) -> Findings {
    let (config, problems) = Config::survey(file);
    // A section with a mistake may name other files than were meant.
    let names_files = |section: &str| !problems.iter().any(|problem| concerns(problem, section));
    let mut findings = Findings::default();
    if let Some(config) = config {
        for (key, why) in config.contradictions() {
            findings.add(file, key, why.to_owned());
        }
        findings.warnings = config.warnings();
        if names_files("tls") {
            findings.inspect_certificates(file, &config.tls);
        }
        if names_files("auth") {
            findings.inspect_users(file, &config.auth);
            findings.inspect_access(file, &config.auth);
            findings.inspect_tokens(file, &config.auth);
        }
        if let Some(storage) = &config.storage
            && names_files("storage")
        {
            findings.inspect_storage(file, storage, &config.s3);
            findings.inspect_redirect(file, storage, &config);
            if config.listen.handover.is_some() {
                findings.add(file, "listen.handover", StartError::SharedStorage.to_string());
            }
        }
    }
    findings.problems = problems.into_iter().chain(findings.problems).collect();
    findings
}

/// Whether a section is not what was meant: it has a mistake, or the file could not be parsed.
fn concerns(problem: &Problem, section: &str) -> bool {
    match problem.key.split('.').next() {
        Some("") | None => problem.line().is_some(),
        Some(of) => of == section,
    }
}

impl Findings {
    fn inspect_certificates(&mut self, file: &Path, tls: &Tls) {
        match CertificateStore::load(&tls.pairs()) {
            Ok(store) => self.warnings.extend(store.warnings().iter().map(ToString::to_string)),
            Err(problems) => problems.iter().for_each(|problem| self.add(file, "tls", problem.to_string())),
        }
    }

    fn inspect_users(&mut self, file: &Path, auth: &Auth) {
        let path = auth.htpasswd.display();
        match Users::load(&auth.htpasswd, &auth.policy()) {
            Ok(users) => {
                for warning in users.warnings() {
                    match warning {
                        Warning::Refused { .. } => self.add(file, "auth.htpasswd", format!("{path}: {warning}")),
                        _ => self.warnings.push(format!("{path}: {warning}")),
                    }
                }
            }
            Err(HtpasswdError { defect: Defect::Lines(lines), .. }) => {
                lines.iter().for_each(|line| self.add(file, "auth.htpasswd", format!("{path}: {line}")));
            }
            Err(HtpasswdError { defect: Defect::Nobody(users), .. }) => {
                users.iter().for_each(|user| self.add(file, "auth.htpasswd", format!("{path}: {user}")));
            }
            Err(error) => self.add(file, "auth.htpasswd", error.to_string()),
        }
    }

    fn inspect_access(&mut self, file: &Path, auth: &Auth) {
        let Some(path) = &auth.access else {
            let warning = "auth.groups has no effect without auth.access: every user may do everything";
            self.warnings.extend(auth.groups.iter().map(|_| warning.to_owned()));
            return;
        };
        let access = match Access::load(path, auth.groups.as_deref()) {
            Ok(access) => access,
            Err(error) => {
                let key = if matches!(error, AccessError::Groups(_)) { "auth.groups" } else { "auth.access" };
                error.problems().into_iter().for_each(|problem| self.add(file, key, problem));
                return;
            }
        };
        let (now, path) = (SystemTime::now(), path.display());
        let warnings = match Users::load(&auth.htpasswd, &auth.policy()) {
            Ok(users) => access.review(&users.names().into_iter().collect(), now),
            Err(_) => access.warnings(now),
        };
        self.warnings.extend(warnings.iter().map(|warning| format!("{path}: {warning}")));
        self.notes.extend(access.limits_of_patterns().iter().map(|limit| format!("{path}: {limit}")));
        for expectation in &access.expectations {
            for disappointment in expectation.disappointments(&access.grants, now) {
                self.add(file, "auth.access", format!("{path}:{}: {disappointment}", expectation.line));
            }
        }
    }

    /// The first token that is made makes its file.
    fn inspect_tokens(&mut self, file: &Path, auth: &Auth) {
        let exposed = |path: &Path, exposure: &Exposure| format!("{}: the file {exposure}", path.display());
        if let Some(path) = &auth.token_key {
            match TokenKeys::load(path) {
                Ok(keys) => self.warnings.extend(keys.exposure().map(|exposure| exposed(path, exposure))),
                Err(error) => self.add(file, "auth.token_key", error.to_string()),
            }
        }
        let Some(path) = &auth.tokens else { return };
        match MachineTokens::load(path) {
            Ok(tokens) => {
                self.warnings.extend(tokens.exposure().map(|exposure| exposed(path, exposure)));
                let users = Users::load(&auth.htpasswd, &auth.policy()).map(|users| users.names()).ok();
                for token in tokens.sorted() {
                    let dead = if token.has_ended(SystemTime::now()) {
                        "has ended"
                    } else if users.as_ref().is_some_and(|users| !users.contains(&token.owner)) {
                        "is of nobody"
                    } else {
                        continue;
                    };
                    let (id, owner) = (token.id, &token.owner);
                    let cure = format!("remove it with `lockgate token revoke {id}`");
                    self.warnings.push(format!("{}: token {id} of {owner} {dead}; {cure}", path.display()));
                }
            }
            Err(error) if error.is_missing() => {}
            Err(error) => self.add(file, "auth.tokens", error.to_string()),
        }
    }

    /// A directory that is not there yet is made at the start.
    fn inspect_storage(&mut self, file: &Path, storage: &Storage, s3: &S3) {
        for problem in lockgate_backend::problems(storage, s3) {
            if problem.is_warning {
                self.warnings.push(format!("storage.data: {problem}"));
            } else {
                self.add(file, "storage.data", problem.to_string());
            }
        }
    }

    /// Clients must not be sent where they would show the registry's password. Which of the names below a wildcard is the
    /// registry's is not known.
    fn inspect_redirect(&mut self, file: &Path, storage: &Storage, config: &Config) {
        let Some(host) = lockgate_backend::redirect_host(storage, &config.s3) else { return };
        let names = match config.auth.public_url.authority() {
            Some(name) => vec![name.to_owned()],
            None => CertificateStore::load(&config.tls.pairs()).map_or_else(|_| Vec::new(), |store| store.names()),
        };
        let is_shown_the_password = |name: &&String| match name.strip_prefix("*.") {
            Some(above) => host.splitn(3, '.').nth(2).is_some_and(|host| is_shown_the_password(host, above)),
            None => is_shown_the_password(&host, name),
        };
        if let Some(name) = names.iter().find(is_shown_the_password) {
            let message = format!(
                "{host} is the registry's own name or one below it ({name}), and clients written in Go would show it the \
                 registry's password, so that nobody is sent there: give the bucket's server a name elsewhere, or write in \
                 auth.public_url by what other name clients reach this gate"
            );
            self.add(file, "storage.redirect_endpoint", message);
        }
    }

    /// Adds a problem of what `key` names.
    fn add(&mut self, file: &Path, key: &str, message: String) {
        let origin = Origin::File { path: file.to_owned(), at: None };
        self.problems.push(Problem { origin, key: key.to_owned(), message });
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::tls::samples::Samples;

    /// A directory with a certificate, a user, and a configuration that names them.
    struct Site {
        samples: Samples,
        config: PathBuf,
    }

    /// Hashes of nothing anyone knows: `check` computes none, it looks at their form and cost.
    const ALICE: &str = "alice:$2y$05$c6P0gEvfBTwkD7pUmQFHmuFmpIoiDVlUaiPBHxJlAK9dIgLVVFKVm\n";
    const COSTLY: &str = "bob:$2y$15$c6P0gEvfBTwkD7pUmQFHmuFmpIoiDVlUaiPBHxJlAK9dIgLVVFKVm\n";

    impl Site {
        fn new() -> Self {
            let samples = Samples::new();
            let pair = samples.pair("domain", &["registry.test"]);
            let config = samples.path("lockgate.toml");
            let users = samples.path("htpasswd");
            fs::write(&users, ALICE).unwrap();
            fs::set_permissions(&users, fs::Permissions::from_mode(0o600)).unwrap();
            let text = format!(
                "tls.certificate = {:?}\ntls.key = {:?}\nauth.htpasswd = {users:?}\n",
                pair.certificate, pair.key
            );
            fs::write(&config, text).unwrap();
            Self { samples, config }
        }

        fn append(&self, text: &str) {
            let before = fs::read_to_string(&self.config).unwrap();
            fs::write(&self.config, before + text).unwrap();
        }

        /// The problems, without the directory's name.
        fn problems(&self) -> Vec<String> {
            let dir = format!("{}/", self.samples.path("").display().to_string().trim_end_matches('/'));
            inspect(&self.config).problems.iter().map(|problem| problem.to_string().replace(&dir, "")).collect()
        }

        fn run(&self) -> Result<(), Error> {
            run(&Args { config: self.config.clone() })
        }
    }

    #[test]
    fn a_good_configuration_is_ok() {
        let site = Site::new();
        assert_eq!(site.problems(), Vec::<String>::new());
        assert!(site.run().is_ok());
    }

    #[test]
    fn a_wrong_configuration_ends_with_the_code_of_usage_errors() {
        let site = Site::new();
        site.append("listen.http2 = 1\n");
        assert_eq!(site.run().expect_err("1 is no truth value").exit_code(), super::super::EXIT_USAGE);
    }

    #[test]
    fn mistakes_in_the_file_and_in_what_it_names_are_told_at_once() {
        let site = Site::new();
        site.append("listen.http2 = 1\n");
        fs::remove_file(site.samples.path("domain.crt")).unwrap();
        fs::write(site.samples.path("htpasswd"), format!("{ALICE}{COSTLY}")).unwrap();
        let problems = site.problems();
        assert_eq!(problems.len(), 3, "{problems:#?}");
        assert!(problems[0].starts_with("lockgate.toml:4:16: listen.http2: expected true or false"), "{problems:#?}");
        assert!(problems[1].starts_with("lockgate.toml: tls: domain.crt "), "{problems:#?}");
        assert!(
            problems[2].starts_with("lockgate.toml: auth.htpasswd: htpasswd: line 2: user bob cannot log in"),
            "{problems:#?}"
        );
    }

    #[test]
    fn every_line_that_is_no_entry_is_a_problem_of_its_own() {
        let site = Site::new();
        fs::write(site.samples.path("htpasswd"), format!("carol\n{ALICE}dave\n")).unwrap();
        assert_eq!(
            site.problems(),
            [
                "htpasswd: line 1: there is no colon; a line is USER:HASH",
                "htpasswd: line 3: there is no colon; a line is USER:HASH"
            ]
            .map(|problem| format!("lockgate.toml: auth.htpasswd: {problem}"))
        );
    }

    #[test]
    fn a_file_with_nobody_who_can_log_in_is_a_problem_for_each_user() {
        let site = Site::new();
        fs::write(site.samples.path("htpasswd"), COSTLY).unwrap();
        let problems = site.problems();
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].contains("htpasswd: line 1: user bob cannot log in"), "{problems:#?}");
        site.append("auth.max_bcrypt_cost = 15\n");
        assert_eq!(site.problems(), Vec::<String>::new(), "the ceiling is the configured one");
    }

    #[test]
    fn files_of_a_section_that_is_not_what_was_meant_are_not_looked_at() {
        let site = Site::new();
        fs::remove_file(site.samples.path("domain.crt")).unwrap();
        site.append("tls.additional = 'other.crt'\n");
        let problems = site.problems();
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].starts_with("lockgate.toml:4:18: tls.additional: expected an array"), "{problems:#?}");
        site.append("auth = \n");
        assert!(site.problems().iter().all(|problem| problem.starts_with("lockgate.toml:")), "{:#?}", site.problems());
    }

    #[test]
    fn a_user_with_two_lines_is_a_warning() {
        let site = Site::new();
        fs::write(site.samples.path("htpasswd"), format!("{ALICE}{ALICE}")).unwrap();
        let findings = inspect(&site.config);
        assert_eq!((findings.problems.len(), findings.warnings.len()), (0, 1), "{findings:?}");
        assert!(findings.warnings[0].contains("htpasswd: line 2: user alice is already on line 1"), "{findings:?}");
    }

    #[test]
    fn grants_are_looked_at_beside_the_users_and_each_expectation_is_proven() {
        let site = Site::new();
        let access = site.samples.path("access.toml");
        let groups = site.samples.path("groups");
        site.append(&format!("auth.access = {access:?}\nauth.groups = {groups:?}\n"));
        let problems = site.problems();
        assert!(problems[0].contains("auth.token_key: with auth.access clients are sent for tokens"), "{problems:#?}");
        site.append("auth.challenge = 'basic'\n");
        assert_eq!(
            site.problems(),
            [
                "lockgate.toml: auth.groups: groups: the file of groups cannot be read: No such file or directory (os error 2)"
            ]
        );
        fs::write(&groups, "team: alice bob\n").unwrap();
        let text = "[[grant]]\nrepositories = 'team/**'\nto = ['group:team', 'user:carol']\nallow = 'push'\n";
        let expect = "[[expect]]\nuser = 'alice'\nmay = 'delete'\nmay_not = 'pull'\nrepository = 'team/app'\n";
        fs::write(&access, format!("{text}{expect}")).unwrap();
        assert_eq!(
            site.problems(),
            [
                "access.toml:5: alice may not delete team/app, and is expected to",
                "access.toml:5: alice may pull team/app by grant 1 (line 1), and is expected not to",
            ]
            .map(|problem| format!("lockgate.toml: auth.access: {problem}"))
        );
        let findings = inspect(&site.config);
        let told = |told: &[String]| told.join("\n").replace(&format!("{}", access.display()), "access.toml");
        assert_eq!(
            told(&findings.warnings),
            "access.toml: grant 1 (line 1): there is no user carol\naccess.toml: group team: no user bob"
        );
        assert_eq!(told(&findings.notes), "access.toml: team/** does not hold team");
        fs::write(&access, format!("{text}tag = 'a'\n[[grant]]\n")).unwrap();
        let problems = site.problems();
        assert_eq!(problems.len(), 2, "{problems:#?}");
        assert_eq!(
            problems[0],
            "lockgate.toml: auth.access: access.toml:5:1: grant[0].tag: no such key; did you mean tags?"
        );
        fs::write(&access, "").unwrap();
        assert!(site.problems()[0].contains("access.toml: the file is empty"), "{:?}", site.problems());
    }

    #[test]
    fn grants_exclude_a_registry_with_passwords_of_its_own() {
        let site = Site::new();
        let access = site.samples.path("access.toml");
        fs::write(&access, "[[grant]]\nrepositories = '**'\nto = 'authenticated'\nallow = 'create'\n").unwrap();
        site.append("auth.challenge = 'basic'\nupstream.forward_authorization = true\n");
        assert_eq!(site.problems(), Vec::<String>::new());
        site.append(&format!("auth.access = {access:?}\n"));
        let problems = site.problems();
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].contains("upstream.forward_authorization: the registry behind would be"), "{problems:#?}");
    }

    #[test]
    fn groups_without_grants_have_no_effect() {
        let site = Site::new();
        site.append("auth.groups = 'conf/groups'\n");
        let findings = inspect(&site.config);
        assert!(findings.problems.is_empty() && findings.warnings[0].starts_with("auth.groups has no effect"));
    }

    #[test]
    fn a_key_or_users_that_others_may_read_are_warnings_that_name_the_cure() {
        let site = Site::new();
        assert_eq!(inspect(&site.config).warnings, Vec::<String>::new());
        for file in ["domain.key", "htpasswd"] {
            fs::set_permissions(site.samples.path(file), fs::Permissions::from_mode(0o644)).unwrap();
        }
        let findings = inspect(&site.config);
        assert_eq!((findings.problems.len(), findings.warnings.len()), (0, 2), "{findings:?}");
        for (warning, command, file) in
            [(&findings.warnings[0], "chmod go=", "domain.key"), (&findings.warnings[1], "chmod o=", "htpasswd")]
        {
            let cure = format!("`{command} {}`", site.samples.path(file).display());
            assert!(warning.contains(&cure), "{warning}");
        }
    }

    #[test]
    fn tokens_that_are_good_for_nothing_are_warnings_and_files_that_are_not_usable_are_problems() {
        const HASH: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        let site = Site::new();
        let (key, tokens) = (site.samples.path("token.key"), site.samples.path("tokens"));
        site.append(&format!("auth.token_key = {key:?}\nauth.tokens = {tokens:?}\n"));
        assert_eq!(site.problems().len(), 1, "a key has to be there, and tokens do not");
        let write = |path: &Path, text: &str| {
            fs::write(path, text).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        };
        write(&key, &format!("{}\n", "0".repeat(64)));
        let token = |id, owner, end| format!("{id}\t{HASH}\t{owner}\t{end}\tpull\t**\t-\t\n");
        let lines = [
            token("0000good", "alice", "never"),
            token("0000late", "alice", "2020-01-01T00:00:00Z"),
            token("0nobody0", "bob", "never"),
        ];
        write(&tokens, &lines.concat());
        let findings = inspect(&site.config);
        assert_eq!((findings.problems.len(), findings.warnings.len()), (0, 2), "{findings:?}");
        assert!(findings.warnings[0].contains("token 0000late of alice has ended; remove it with"), "{findings:?}");
        assert!(findings.warnings[1].contains("token 0nobody0 of bob is of nobody; remove it with"), "{findings:?}");
        for path in [&key, &tokens] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        }
        assert_eq!(inspect(&site.config).warnings.len(), 4);
        write(&tokens, "correct-horse\n");
        let problems = site.problems();
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].starts_with("lockgate.toml: auth.tokens: tokens: line 1: a token is"), "{problems:#?}");
    }

    #[test]
    fn a_registry_within_is_ok_unless_a_file_is_where_its_directory_would_be() {
        let site = Site::new();
        let data = site.samples.path("data");
        site.append(&format!("storage.data = {data:?}\n"));
        assert_eq!(site.problems(), Vec::<String>::new());
        fs::write(&data, "").unwrap();
        assert_eq!(site.problems(), ["lockgate.toml: storage.data: data: it is not a directory"]);
    }

    #[test]
    fn clients_are_not_sent_to_a_name_of_the_registry_s_own() {
        let site = Site::new();
        let pair = site.samples.pair("names", &["registry.test", "*.wild.test", "10.0.0.1"]);
        site.append(&format!("tls.certificate = {:?}\ntls.key = {:?}\n", pair.certificate, pair.key));
        let text = fs::read_to_string(&site.config).unwrap();
        // Not the pair that every site has.
        let text: Vec<&str> = text.lines().filter(|line| !line.contains("domain.")).collect();
        let told = |endpoint: &str, more: &str| {
            let storage = "storage.data = 's3://images'\nstorage.redirect = 'auto'\ns3.path_style = true";
            let s3 = format!("s3.endpoint = 'https://127.0.0.1:1'\nstorage.redirect_endpoint = 'https://{endpoint}'");
            fs::write(&site.config, format!("{}\n{storage}\n{s3}\n{more}\n", text.join("\n"))).unwrap();
            let (config, mut findings) = (Config::load(&site.config).unwrap(), Findings::default());
            findings.inspect_redirect(&site.config, config.storage.as_ref().unwrap(), &config);
            findings.problems.len()
        };
        for refused in ["registry.test:9000", "s3.registry.test", "a.b.wild.test", "10.0.0.1:8333"] {
            assert_eq!(told(refused, ""), 1, "{refused}");
        }
        for right in ["s3.test", "s3.wild.test", "10.0.0.2"] {
            assert_eq!(told(right, ""), 0, "{right}");
        }
        let public = "auth.public_url = 'https://hub.test:5043'";
        assert_eq!((told("s3.registry.test", public), told("s3.hub.test", public)), (0, 1), "it is said to be another");
    }

    #[test]
    fn two_destinations_are_one_problem_and_the_files_are_looked_at_all_the_same() {
        let site = Site::new();
        fs::remove_file(site.samples.path("domain.crt")).unwrap();
        site.append("[upstream]\n[storage]\n");
        let problems = site.problems();
        assert_eq!(problems.len(), 2, "{problems:#?}");
        assert!(problems[0].starts_with("lockgate.toml:5:2: storage: there are both "), "{problems:#?}");
    }

    #[test]
    fn a_missing_configuration_is_the_one_problem() {
        let problems = inspect(Path::new("no/such/lockgate.toml")).problems.to_string();
        assert_eq!(problems, "no/such/lockgate.toml: there is no such file; name another with --config");
    }
}
