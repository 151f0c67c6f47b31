//! The bodies of S3's answers, which are XML.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::objects::Part;

/// Why a request failed.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorBody {
    code: String,
}

/// A page of a listing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listing {
    #[serde(default)]
    pub(super) is_truncated: bool,
    pub(super) next_continuation_token: Option<String>,
    #[serde(default)]
    pub(super) contents: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    pub(super) key: String,
    pub(super) size: u64,
    pub(super) last_modified: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Begun {
    pub(super) upload_id: String,
}

/// Of a part, of an object, and of what was completed.
#[derive(Debug, Deserialize)]
pub(super) struct Copied {
    #[serde(rename = "ETag")]
    pub(super) tag: String,
}

/// Whether a bucket keeps what is overwritten and deleted.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Versioning {
    pub(super) status: Option<String>,
}

pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    quick_xml::de::from_str(std::str::from_utf8(body).ok()?).ok()
}

/// The code of an error. S3 answers 200 before it has completed or copied something, and an error in the body after.
pub(super) fn error_code(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let root = text.trim_start().trim_start_matches('\u{feff}');
    let root = root.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>")).map_or(root, |(_, rest)| rest);
    root.trim_start()
        .starts_with("<Error")
        .then(|| parse::<ErrorBody>(body).map(|error| error.code).unwrap_or_default())
}

/// The list that an upload is completed with.
pub(super) fn list_of(parts: &[Part]) -> String {
    let part = |part: &Part| {
        let tag = quick_xml::escape::escape(&part.tag);
        format!("<Part><PartNumber>{}</PartNumber><ETag>&quot;{tag}&quot;</ETag></Part>", part.number)
    };
    let parts: String = parts.iter().map(part).collect();
    format!(
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{parts}</CompleteMultipartUpload>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_from_what_is_no_error() {
        for declaration in ["", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>", "\n\n <?xml version=\"1.0\"?>\n"] {
            let error = format!("{declaration}\n <Error><Code>InternalError</Code><Message>x</Message></Error>");
            assert_eq!(error_code(error.as_bytes()).as_deref(), Some("InternalError"), "{declaration:?}");
        }
        assert_eq!(error_code(b"<Error>").as_deref(), Some(""), "cut off");
        for other in ["", "<Errata/>x", "<CopyPartResult><ETag>&quot;a&quot;</ETag></CopyPartResult>", "plain"] {
            assert_ne!(error_code(other.as_bytes()).as_deref(), Some("InternalError"), "{other}");
        }
        assert_eq!(error_code(b"<CompleteMultipartUploadResult/>"), None);
    }

    #[test]
    fn a_list_of_parts_is_xml() {
        let list = list_of(&[Part { number: 1, tag: "a<b".to_owned() }, Part { number: 70, tag: "c".to_owned() }]);
        assert!(list.contains("<Part><PartNumber>1</PartNumber><ETag>&quot;a&lt;b&quot;</ETag></Part>"), "{list}");
        assert!(list.contains("<Part><PartNumber>70</PartNumber>"), "{list}");
    }
}
