//! Where credentials come from, in the order of AWS's own programs: the environment, a file, a role.

use std::collections::HashMap;
use std::path::PathBuf;
use std::{env, fs, io};

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as Key};

/// Builds with the credentials of the environment, or else of the file; with neither, the role of the container or the
/// machine is asked for when something is signed. No other variable of AWS counts: what they say has keys here.
pub(super) fn builder() -> Result<AmazonS3Builder, String> {
    let variables =
        env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let variables: HashMap<String, String> = variables.filter(|(name, _)| name.starts_with("AWS_")).collect();
    let mut builder = AmazonS3Builder::new();
    for (name, value) in &variables {
        if let Ok(key) = name.to_ascii_lowercase().parse::<Key>()
            && is_of_credentials(&key)
        {
            builder = builder.with_config(key, value);
        }
    }
    let has = |name| variables.contains_key(name);
    let is_role = has("AWS_WEB_IDENTITY_TOKEN_FILE")
        || has("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        || has("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    if has("AWS_ACCESS_KEY_ID") || is_role {
        return Ok(builder);
    }
    let named = variables.get("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
    let is_named = named.is_some();
    let Some(file) = named.or_else(|| Some(env::home_dir()?.join(".aws/credentials"))) else { return Ok(builder) };
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_named => return Ok(builder),
        Err(error) => return Err(format!("AWS_SHARED_CREDENTIALS_FILE: {}: {error}", file.display())),
    };
    let profile = variables.get("AWS_PROFILE").map_or("default", String::as_str);
    let section = section(&text, profile);
    let (Some(id), Some(secret)) = (section.get("aws_access_key_id"), section.get("aws_secret_access_key")) else {
        return Err(format!("{}: [{profile}] lacks aws_access_key_id or aws_secret_access_key", file.display()));
    };
    builder = builder.with_access_key_id(*id).with_secret_access_key(*secret);
    Ok(section.get("aws_session_token").into_iter().fold(builder, |builder, token| builder.with_token(*token)))
}

fn is_of_credentials(key: &Key) -> bool {
    matches!(
        key,
        Key::AccessKeyId
            | Key::SecretAccessKey
            | Key::Token
            | Key::MetadataEndpoint
            | Key::ContainerCredentialsRelativeUri
            | Key::ContainerCredentialsFullUri
            | Key::ContainerAuthorizationTokenFile
            | Key::WebIdentityTokenFile
            | Key::RoleArn
            | Key::RoleSessionName
            | Key::StsEndpoint
    )
}

/// The values of a profile.
fn section<'a>(text: &'a str, profile: &str) -> HashMap<&'a str, &'a str> {
    let heading = format!("[{profile}]");
    let lines = text.lines().map(str::trim).skip_while(|line| *line != heading).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('[')).filter(|line| !line.starts_with(['#', ';']));
    lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.trim(), value.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_its_own_values_and_no_other_s() {
        let text = "[default]\naws_access_key_id = A\n# aws_access_key_id = B\naws_secret_access_key=S=/+\n\n\
                    [ci]\naws_access_key_id=C\n";
        assert_eq!(section(text, "default"), [("aws_access_key_id", "A"), ("aws_secret_access_key", "S=/+")].into());
        assert_eq!(section(text, "ci"), [("aws_access_key_id", "C")].into());
        assert!(section(text, "none").is_empty());
    }
}
