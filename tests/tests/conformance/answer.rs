//! An answer, and what is wanted of it.

use lockgate_e2e::Response;
use serde_json::Value;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// What was asked for, for messages.
    pub(crate) asked: String,
    pub(crate) response: Response,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.response.head.status()
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.response.body
    }

    /// The value of a header that stands there once.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.response.head.one(name)
    }

    /// Every value of a header, and of those with several, each.
    pub(crate) fn listed(&self, name: &str) -> Vec<&str> {
        self.response.head.all(name).iter().flat_map(|value| value.split(',').map(str::trim)).collect()
    }

    /// The path of `Location`.
    #[track_caller]
    pub(crate) fn location(&self) -> String {
        path_of(self.header("location")).to_owned()
    }

    /// The path that `Link` gives for the next page, if there is one.
    #[track_caller]
    pub(crate) fn next(&self) -> Option<String> {
        let link = *self.response.head.all("link").first()?;
        let (target, parameters) = link.split_once('>').unwrap_or_else(|| panic!("{link:?} is no link"));
        let target = target.strip_prefix('<').unwrap_or_else(|| panic!("{link:?} is no link"));
        assert!(parameters.replace(' ', "") == r#";rel="next""#, "{link:?} has no rel=\"next\"");
        Some(path_of(target).to_owned())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(self.body()).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.shown()))
    }

    /// The texts of a list in its JSON.
    #[track_caller]
    pub(crate) fn texts(&self, key: &str) -> Vec<String> {
        let json = self.json();
        let list = json[key].as_array().unwrap_or_else(|| panic!("no list {key} in {json}"));
        list.iter().map(|text| text.as_str().unwrap_or_else(|| panic!("no text: {text}")).to_owned()).collect()
    }

    #[track_caller]
    pub(crate) fn with_status(self, any_of: &[u16]) -> Self {
        assert!(any_of.contains(&self.status()), "{} should have the status {any_of:?}", self.shown());
        self
    }

    #[track_caller]
    pub(crate) fn with(self, name: &str, value: impl AsRef<str>) -> Self {
        assert_eq!(self.header(name), value.as_ref(), "{name} of {}", self.shown());
        self
    }

    #[track_caller]
    pub(crate) fn without(self, name: &str) -> Self {
        assert!(self.response.head.all(name).is_empty(), "{} should have no {name}", self.shown());
        self
    }

    #[track_caller]
    pub(crate) fn with_body(self, body: impl AsRef<[u8]>) -> Self {
        assert!(self.body() == body.as_ref(), "{} should have another body", self.shown());
        self
    }

    /// A digest, and the content that has it.
    #[track_caller]
    pub(crate) fn with_content(self, digest: &str, content: impl AsRef<[u8]>) -> Self {
        let length = content.as_ref().len().to_string();
        self.with("docker-content-digest", digest).with("content-length", length).with_body(content)
    }

    /// One error, as the specification writes it.
    #[track_caller]
    pub(crate) fn with_error(self, code: &str) -> Self {
        let content_type = self.header("content-type");
        assert!(content_type.starts_with("application/json"), "the type of {} is {content_type}", self.shown());
        let json = self.json();
        let errors = json["errors"].as_array().unwrap_or_else(|| panic!("no errors: {}", self.shown()));
        for error in errors {
            let code = error["code"].as_str().unwrap_or_else(|| panic!("no code: {}", self.shown()));
            assert!(code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{code} is no code");
            assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "no message: {}", self.shown());
        }
        assert!(errors.iter().any(|error| error["code"] == code), "{} should say {code}", self.shown());
        self
    }

    fn shown(&self) -> String {
        let head = String::from_utf8_lossy(&self.response.head.raw);
        let body: String = String::from_utf8_lossy(self.body()).chars().take(500).collect();
        format!("the answer to {}:\n{head}{body}\n", self.asked)
    }
}

/// The path of a URL that may be whole or relative.
fn path_of(url: &str) -> &str {
    match url.split_once("://") {
        None => url,
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
    }
}
