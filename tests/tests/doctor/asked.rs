//! The command, and what it says.

use lockgate_e2e::{Clock, finish_with_input, program};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// How it is asked.
pub(crate) struct Doctor {
    url: String,
    arguments: Vec<String>,
    password: Option<String>,
    environment: Vec<(&'static str, PathBuf)>,
}

impl Doctor {
    /// Of `https://ADDRESS`.
    pub(crate) fn of(address: impl Display) -> Self {
        let url = format!("https://{address}");
        Self { url, arguments: Vec::new(), password: None, environment: Vec::new() }
    }

    fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&word| word.to_owned()));
        self
    }

    pub(crate) fn trusting(self, ca: &Path) -> Self {
        self.with(&["--ca", ca.to_str().expect("a path of ours")])
    }

    /// By the environment, as OpenSSL's clients have it.
    pub(crate) fn trusting_by_environment(mut self, ca: &Path) -> Self {
        self.environment.push(("SSL_CERT_FILE", ca.to_owned()));
        self
    }

    pub(crate) fn user(mut self, user: &str, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self.with(&["--user", user, "--stdin"])
    }

    /// With a push, and no rest in the middle of an upload.
    pub(crate) fn writing(self) -> Self {
        self.resting(0)
    }

    /// With a push, and a rest of so many seconds.
    pub(crate) fn resting(self, seconds: u64) -> Self {
        self.with(&["--write", "team/doctor", "--rest", &seconds.to_string()])
    }

    pub(crate) fn by_the(mut self, clock: &Clock) -> Self {
        self.environment.extend(clock.environment());
        self
    }

    /// Runs it for people.
    pub(crate) fn text(&self) -> (i32, String) {
        let (code, output) = self.run(&[]);
        assert!(self.password.as_ref().is_none_or(|password| !output.contains(password)), "{output}");
        (code, output)
    }

    /// Runs it for programs.
    pub(crate) fn ask(&self) -> Examined {
        let (code, output) = self.run(&["--json"]);
        let parsed: Value = serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}"));
        assert_eq!(parsed["url"], self.url);
        let findings = parsed["findings"].as_array().expect("a list").clone();
        let has_failed = findings.iter().any(|finding| finding["verdict"] == "fail");
        assert_eq!((code, &parsed["ok"]), (i32::from(has_failed), &Value::from(!has_failed)), "{output}");
        Examined { findings, output }
    }

    fn run(&self, more: &[&str]) -> (i32, String) {
        let mut lockgate = program("lockgate");
        lockgate.arg("doctor").arg(&self.url).args(&self.arguments).args(more);
        // What this machine trusts is not the test's matter.
        lockgate.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR").envs(self.environment.iter().cloned());
        let input = self.password.iter().map(|password| format!("{password}\n")).collect::<String>();
        let done = finish_with_input(&mut lockgate, input.as_bytes());
        (done.status.code().expect("it ends by itself"), done.output())
    }
}

/// What it found.
pub(crate) struct Examined {
    findings: Vec<Value>,
    output: String,
}

impl Examined {
    /// Everything was looked at but `skipped`, and is right.
    #[track_caller]
    pub(crate) fn is_right_but_for(&self, skipped: &[&str]) {
        self.finds(&[]);
        let seen: Vec<_> = self.findings.iter().filter(|finding| finding["verdict"] == "skip").collect();
        let names: Vec<_> = seen.iter().filter_map(|finding| finding["check"].as_str()).collect();
        assert_eq!(names, skipped, "{}", self.output);
        assert_eq!(self.findings.len(), 25, "{}", self.output);
    }

    /// These are wrong, as in `("location", "fail")`, and nothing else.
    #[track_caller]
    pub(crate) fn finds(&self, expected: &[(&str, &str)]) {
        let told = |finding: &&Value| ["warn", "fail"].contains(&finding["verdict"].as_str().unwrap_or_default());
        let wrong: Vec<_> = self.findings.iter().filter(told).collect();
        for finding in &wrong {
            assert!(finding["means"].is_string(), "what it means is said: {finding}");
            assert!(finding["change"].as_object().is_some_and(|change| !change.is_empty()), "{finding}");
        }
        let name = |finding: &&Value| format!("{} {}", finding["check"], finding["verdict"]).replace('"', "");
        let wrong: BTreeSet<_> = wrong.iter().map(name).collect();
        let expected: BTreeSet<_> = expected.iter().map(|(check, verdict)| format!("{check} {verdict}")).collect();
        assert_eq!(wrong, expected, "{}", self.output);
    }

    /// The first finding of a check says this somewhere.
    #[track_caller]
    pub(crate) fn says(&self, check: &str, text: &str) -> &Self {
        let found: Vec<_> = self.findings.iter().filter(|finding| finding["check"] == check).collect();
        assert!(found.iter().any(|finding| finding.to_string().contains(text)), "{check} says {text}: {found:?}");
        self
    }
}
