//! What an examination finds: one line for each check.

use std::fmt;

use serde::{Serialize, Serializer};

/// What is looked at, in the order in which a client would fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Check {
    /// The name has an address.
    Dns,
    /// An address takes connections.
    Tcp,
    /// TLS is spoken there.
    Tls,
    /// The certificate was issued by somebody who is trusted.
    Chain,
    /// It is for this name.
    Name,
    /// It is valid today.
    Dates,
    /// The server's clock and this machine's agree.
    Clock,
    /// `GET /v2/` is answered by a registry.
    Api,
    /// `Docker-Distribution-Api-Version` is there.
    ApiVersion,
    /// A 401 says how to log in, and where.
    Challenge,
    /// The name and the password are taken.
    Login,
    /// Errors are JSON.
    Errors,
    /// Answers come as the registry made them, without gzip.
    Compression,
    /// An upload begins.
    Upload,
    /// `Location` leads back to this URL.
    Location,
    /// PATCH, PUT and HEAD pass.
    Methods,
    /// A body in chunks passes.
    Chunked,
    /// `Expect: 100-continue` is answered.
    Continue,
    /// A large body passes.
    BodySize,
    /// Bodies are handed on as they come.
    Buffering,
    /// A pause in an upload is waited for.
    Idle,
    /// An image is taken.
    Push,
    /// The same image comes back.
    Pull,
    /// A part of a blob can be had.
    Ranges,
    /// What was pushed is deleted again.
    Cleanup,
    /// The examination came to its end in time.
    Time,
}

impl Check {
    /// All that are made of a registry that is right.
    pub(crate) const ALL: [Self; 25] = [
        Self::Dns,
        Self::Tcp,
        Self::Tls,
        Self::Chain,
        Self::Name,
        Self::Dates,
        Self::Clock,
        Self::Api,
        Self::ApiVersion,
        Self::Challenge,
        Self::Login,
        Self::Errors,
        Self::Compression,
        Self::Upload,
        Self::Location,
        Self::Methods,
        Self::Chunked,
        Self::Continue,
        Self::BodySize,
        Self::Buffering,
        Self::Idle,
        Self::Push,
        Self::Pull,
        Self::Ranges,
        Self::Cleanup,
    ];

    /// Its name, which does not change.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Chain => "chain",
            Self::Name => "name",
            Self::Dates => "dates",
            Self::Clock => "clock",
            Self::Api => "api",
            Self::ApiVersion => "api-version",
            Self::Challenge => "challenge",
            Self::Login => "login",
            Self::Errors => "errors",
            Self::Compression => "compression",
            Self::Upload => "upload",
            Self::Location => "location",
            Self::Methods => "methods",
            Self::Chunked => "chunked",
            Self::Continue => "continue",
            Self::BodySize => "body-size",
            Self::Buffering => "buffering",
            Self::Idle => "idle",
            Self::Push => "push",
            Self::Pull => "pull",
            Self::Ranges => "ranges",
            Self::Cleanup => "cleanup",
            Self::Time => "time",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// It is as clients need it.
    Ok,
    /// Clients get along with it, or it will be in their way soon.
    Warn,
    /// Clients fail here.
    Fail,
    /// It was not looked at; what was seen says why.
    Skip,
}

/// One line.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Finding {
    /// What was looked at.
    pub(crate) check: Check,
    /// How it ended.
    pub(crate) verdict: Verdict,
    /// What was seen, in visible ASCII.
    pub(crate) seen: String,
    /// What it means and what to change, unless it is right.
    #[serde(flatten)]
    pub(crate) remedy: Option<&'static Remedy>,
}

/// A meaning, and what to change where.
#[derive(Debug, Serialize)]
pub(crate) struct Remedy {
    /// What clients make of it.
    pub(crate) means: &'static str,
    /// Whose words they are, and the words.
    #[serde(serialize_with = "by_name")]
    pub(crate) change: &'static [(&'static str, &'static str)],
}

fn by_name<S: Serializer>(change: &[(&str, &str)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(change.iter().copied())
}
