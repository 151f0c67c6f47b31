//! Where the checks say what they saw.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::finding::{Check, Finding, Remedy, Verdict};
use super::visible::visible;

/// A shorter password would be found in words that have nothing to do with it, and be told by what is left out.
const SHORTEST: usize = 6;

/// Who is told each finding as it is made.
pub(crate) type Listener<'a> = dyn FnMut(&Finding) + Send + 'a;

/// Makes findings, in which nothing of a stranger's reaches a terminal as it came, and no password at all.
pub(super) struct Report<'a> {
    listener: &'a mut Listener<'a>,
    /// What a server might say back to us, as it was told or as a header has it.
    secrets: Vec<Zeroizing<String>>,
    told: Vec<Check>,
}

impl<'a> Report<'a> {
    pub(super) fn new(listener: &'a mut Listener<'a>) -> Self {
        Self { listener, secrets: Vec::new(), told: Vec::new() }
    }

    /// Never shows this, nor the credentials that it is a part of.
    pub(super) fn keep_secret(&mut self, user: &str, password: &str) {
        let pair = Zeroizing::new(format!("{user}:{password}"));
        self.secrets.push(Zeroizing::new(STANDARD.encode(pair.as_bytes())));
        if password.len() >= SHORTEST {
            self.secrets.push(Zeroizing::new(password.to_owned()));
        }
    }

    pub(super) fn ok(&mut self, check: Check, seen: impl AsRef<str>) {
        self.add(check, Verdict::Ok, seen.as_ref(), None);
    }

    pub(super) fn warn(&mut self, check: Check, seen: impl AsRef<str>, remedy: &'static Remedy) {
        self.add(check, Verdict::Warn, seen.as_ref(), Some(remedy));
    }

    pub(super) fn fail(&mut self, check: Check, seen: impl AsRef<str>, remedy: &'static Remedy) {
        self.add(check, Verdict::Fail, seen.as_ref(), Some(remedy));
    }

    pub(super) fn skip(&mut self, checks: &[Check], why: &str) {
        for check in checks.iter().filter(|check| !self.told.contains(check)).copied().collect::<Vec<_>>() {
            self.add(check, Verdict::Skip, why, None);
        }
    }

    fn add(&mut self, check: Check, verdict: Verdict, seen: &str, remedy: Option<&'static Remedy>) {
        let mut seen = Zeroizing::new(seen.to_owned());
        for secret in &self.secrets {
            if seen.contains(secret.as_str()) {
                seen = Zeroizing::new(seen.replace(secret.as_str(), "***"));
            }
        }
        self.told.push(check);
        (self.listener)(&Finding { check, verdict, seen: visible(&seen), remedy });
    }
}
