//! Listings, page by page.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use http::Method;

use super::answers::{self, Listed, Listing};
use super::client::Client;
use super::request::Request;
use crate::objects::{Entry, Result};

/// The most that S3 lists in one answer.
const PAGE: usize = 1000;

pub(super) async fn names(client: &Client, directory: &str, after: &str, limit: usize) -> Result<Vec<String>> {
    let prefix = client.full(directory);
    let mut names = Vec::new();
    let mut token = None;
    while names.len() < limit {
        let page = (limit - names.len()).min(PAGE);
        let mut request = list(&prefix).query("delimiter", "/").query("max-keys", page);
        if !after.is_empty() {
            request = request.query("start-after", format!("{prefix}{after}"));
        }
        let listing = page_of(client, request, token).await?;
        let below = listing.contents.iter().filter_map(|listed| listed.key.strip_prefix(&prefix));
        // An object that a console made for a directory has the directory's own key.
        names.extend(below.filter(|name| *name > after && !name.contains('/')).map(str::to_owned));
        token = listing.next_continuation_token;
        if token.is_none() {
            break;
        }
    }
    names.truncate(limit);
    Ok(names)
}

pub(super) fn scan(client: Arc<Client>, prefix: &str) -> BoxStream<'static, Result<Entry>> {
    let request = list(&client.full(prefix));
    let begin = (client, request, VecDeque::new(), None::<String>, true);
    stream::try_unfold(begin, |(client, request, mut page, mut token, mut has_more)| async move {
        loop {
            if let Some(listed) = page.pop_front() {
                let entry = entry(&client, &request, listed)?;
                return Ok(Some((entry, (client, request, page, token, has_more))));
            }
            if !has_more {
                return Ok(None);
            }
            let listing = page_of(&client, request.clone(), token).await?;
            page = listing.contents.into();
            token = listing.next_continuation_token;
            has_more = token.is_some();
        }
    })
    .boxed()
}

fn list(prefix: &str) -> Request {
    Request::of_bucket(Method::GET).query("list-type", 2).query("prefix", prefix)
}

/// A page; it names another after it exactly if there is one.
async fn page_of(client: &Client, request: Request, token: Option<String>) -> Result<Listing> {
    let request = match token {
        Some(token) => request.query("continuation-token", token),
        None => request,
    };
    let answer = client.send(&request).await?;
    let listing: Option<Listing> = answers::parse(&answer.body).filter(|_| answer.status.is_success());
    let mut listing = listing.ok_or_else(|| client.odd(&request, "it is no listing"))?;
    if !listing.is_truncated {
        listing.next_continuation_token = None;
    } else if listing.next_continuation_token.as_deref().is_none_or(str::is_empty) {
        return Err(client.odd(&request, "the listing goes on, and does not say where"));
    }
    Ok(listing)
}

fn entry(client: &Client, request: &Request, listed: Listed) -> Result<Entry> {
    let key = listed.key.strip_prefix(&client.prefix);
    let modified = humantime::parse_rfc3339_weak(&listed.last_modified).ok();
    let (Some(key), Some(modified)) = (key, modified) else {
        return Err(client.odd(request, &format!("{:?} is of {:?}", listed.key, listed.last_modified)));
    };
    Ok(Entry { key: key.to_owned(), size: listed.size, modified })
}
