//! `_catalog` where not everybody may see everything: the gate reads the registry's list by itself, keeps it for a
//! moment, and shows each caller what it may pull. So a cursor is a name that was shown, and a stranger's request does
//! not have the registry walk over all it has. Where there are more names than the gate keeps, a page is one of the
//! registry's, less what may not be seen, and its cursor is sealed.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::RwLock;
use std::time::{Duration, Instant};

use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue, LINK};
use lockgate_oci::{ErrorCode, OciError, Pagination, RepositoryName};

use super::answer::Answer;
use super::cursor::Sealer;
use super::destination::Destination;
use super::registry_catalog::{LEAST_ASKED, NoCatalog, first, part, read_all};
use crate::client::Client;
use crate::refusal::Refusal;

/// How long a list is shown before it is read again. What is pushed through this gate is in it at once.
const FRESH: Duration = Duration::from_secs(10);

/// How long it is said that there is no list, before the registry is asked again: each who asks would have it asked.
const PAUSE: Duration = Duration::from_secs(1);

/// How long it is taken for granted that there are too many names: to count them takes as long as to read them.
const STILL_LARGE: Duration = Duration::from_secs(5 * 60);

/// What a page has at most, and where nothing is said.
const MAX_PAGE: usize = 1000;

/// How many names are looked at before others get their turn.
const STRIDE: usize = 512;

/// The repositories that there are.
#[derive(Default)]
pub(super) struct Catalog {
    names: RwLock<Names>,
    /// One reads the list, and those who come meanwhile wait for it.
    reading: tokio::sync::Mutex<()>,
    /// Strangers look through it one after another: of 100,000 names each may see none, and there is no end of strangers.
    strangers: tokio::sync::Mutex<()>,
    sealer: Sealer,
}

#[derive(Default)]
struct Names {
    all: BTreeSet<RepositoryName>,
    /// While they are read: what was pushed meanwhile, which may not be in what is read.
    pushed: Option<BTreeSet<RepositoryName>>,
    read: Option<Instant>,
    /// There are more than are kept, and none is.
    too_large: bool,
    /// When it could not be read, and why.
    failed: Option<(Instant, OciError)>,
}

impl Names {
    /// Whether they are to be shown, or read before.
    fn is_fresh(&self) -> Result<bool, OciError> {
        match &self.failed {
            Some((at, error)) if at.elapsed() < PAUSE => Err(error.clone()),
            _ => {
                let fresh = if self.too_large { STILL_LARGE } else { FRESH };
                Ok(self.read.is_some_and(|read| read.elapsed() < fresh))
            }
        }
    }
}

impl Catalog {
    /// A repository was pushed to: it is there.
    pub(super) fn add(&self, repository: &RepositoryName) {
        let is_news = {
            let names = self.names.read().expect("nobody panics with it");
            let is_kept = names.pushed.is_some() || names.read.is_some() && !names.too_large;
            is_kept && !names.all.contains(repository)
        };
        if is_news {
            let mut names = self.names.write().expect("nobody panics with it");
            names.all.insert(repository.clone());
            if let Some(pushed) = &mut names.pushed {
                pushed.insert(repository.clone());
            }
        }
    }

    /// One page of what `may_see` lets through.
    ///
    /// # Errors
    /// `n` is no number; or the registry does not give its list.
    pub(super) async fn page(
        &self,
        asked: &Pagination,
        destination: &Destination,
        client: &Client,
        is_stranger: bool,
        may_see: impl Fn(&RepositoryName) -> bool,
    ) -> Result<Response<Answer>, Refusal> {
        let most = asked.limit(MAX_PAGE)?;
        self.refresh(destination, client).await?;
        let _turn = if is_stranger { Some(self.strangers.lock().await) } else { None };
        if self.names.read().expect("nobody panics with it").too_large {
            let (shown, cursor) = self.of_theirs(asked.last.as_deref(), most, destination, client, may_see).await?;
            return Ok(answer(&shown, cursor.as_deref(), most));
        }
        let mut shown = self.shown_after(asked.last.as_deref().unwrap_or_default(), most, may_see).await;
        let is_last = shown.len() <= most;
        shown.truncate(most);
        Ok(answer(&shown, shown.last().filter(|_| !is_last).map(RepositoryName::as_str), most))
    }

    /// What may be seen of one page of the registry's, and the cursor of the next. Any other cursor is refused: between
    /// names of one's own choice one could find what is hidden there.
    async fn of_theirs(
        &self,
        cursor: Option<&str>,
        most: usize,
        destination: &Destination,
        client: &Client,
        may_see: impl Fn(&RepositoryName) -> bool,
    ) -> Result<(Vec<RepositoryName>, Option<String>), Refusal> {
        if most == 0 {
            return Ok((Vec::new(), None));
        }
        let target = match cursor {
            None => first(Some(&most.min(LEAST_ASKED))),
            Some(cursor) => self.sealer.open(cursor, most).ok_or_else(|| {
                let message =
                    "there are too many repositories for a `last` of one's own: begin anew, and go on by Link";
                OciError::new(ErrorCode::PaginationNumberInvalid, message)
            })?,
        };
        let part = part(&target, destination, client).await.map_err(NoCatalog::error)?;
        let shown = part.names.iter().filter_map(|name| name.parse().ok()).filter(may_see).collect();
        Ok((shown, part.next.filter(|next| *next != target).map(|next| self.sealer.seal(&next, most))))
    }

    /// One name more than is asked for, if there is one. A page of nothing has no next one.
    async fn shown_after(
        &self,
        last: &str,
        most: usize,
        may_see: impl Fn(&RepositoryName) -> bool,
    ) -> Vec<RepositoryName> {
        let mut shown = Vec::new();
        let mut last = self.at_or_before(last);
        if most == 0 {
            return shown;
        }
        loop {
            let some: Vec<RepositoryName> = {
                let names = self.names.read().expect("nobody panics with it");
                let from = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
                names.all.range::<RepositoryName, _>((from, Bound::Unbounded)).take(STRIDE).cloned().collect()
            };
            let Some(end) = some.last().cloned() else { return shown };
            for name in some.into_iter().filter(&may_see) {
                shown.push(name);
                if shown.len() > most {
                    return shown;
                }
            }
            last = Some(end);
            tokio::task::yield_now().await;
        }
    }

    /// The last name that does not come behind a cursor, which may be any text.
    fn at_or_before(&self, cursor: &str) -> Option<RepositoryName> {
        let names = self.names.read().expect("nobody panics with it");
        names.all.range::<str, _>((Bound::Unbounded, Bound::Included(cursor))).next_back().cloned()
    }

    async fn refresh(&self, destination: &Destination, client: &Client) -> Result<(), Refusal> {
        let is_fresh = || self.names.read().expect("nobody panics with it").is_fresh();
        if is_fresh()? {
            return Ok(());
        }
        let _reading = self.reading.lock().await;
        if is_fresh()? {
            return Ok(());
        }
        self.names.write().expect("nobody panics with it").pushed = Some(BTreeSet::new());
        let result = read_all(destination, client).await;
        let mut names = self.names.write().expect("nobody panics with it");
        let pushed = names.pushed.take().unwrap_or_default();
        // From its end: who waited for it does not have it read again, however long it took.
        let read = Some(Instant::now());
        match result {
            Ok(mut all) => {
                all.extend(pushed);
                *names = Names { all, read, ..Names::default() };
            }
            Err(why @ NoCatalog::TooLarge) => {
                tracing::warn!(%why, "the list of repositories is shown as the registry has it, in short pages");
                *names = Names { read, too_large: true, ..Names::default() };
            }
            Err(why) => {
                let error = why.error();
                names.failed = Some((Instant::now(), error.clone()));
                return Err(error.into());
            }
        }
        Ok(())
    }
}

/// A page, and where the next one begins.
fn answer(shown: &[RepositoryName], cursor: Option<&str>, most: usize) -> Response<Answer> {
    let body = serde_json::json!({ "repositories": shown.iter().map(RepositoryName::as_str).collect::<Vec<_>>() });
    let mut answer = Response::new(Answer::Own(body.to_string().into()));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OciError::CONTENT_TYPE));
    if let Some(last) = cursor {
        let last: String = form_urlencoded::byte_serialize(last.as_bytes()).collect();
        let link = HeaderValue::try_from(format!("</v2/_catalog?last={last}&n={most}>; rel=\"next\""));
        answer.headers_mut().insert(LINK, link.expect("an encoded name and a number are ASCII"));
    }
    answer
}
