//! The judgement: what the grants of now, the token that was shown and the request come to.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use http::HeaderMap;
use lockgate_oci::{Action, AnyDigest, ErrorCode, OciError, Reference, RepositoryName, Tag, is_form};
use serde_json::json;

use super::needs::Need;
use super::permit::{Given, Permit, Rewrite};
use super::{Asker, Grant, Grants};
use crate::auth::{Caller, UserName};
use crate::auth::{MachineToken, Scope};
use crate::rights::{Narrowing, Pattern, Right, Wish};

/// Who may do what, as of now.
pub(crate) struct Authorizer {
    /// `None`: every user may do everything, and nobody else anything.
    grants: Option<ArcSwap<Grants>>,
}

/// Why there is no permit.
#[derive(Debug)]
pub(crate) enum Denial {
    /// Nobody asks, and nobody may: 401. What a token would have to be for.
    Nobody(Scope),
    /// Who asks may not: 403.
    Forbidden(OciError),
    /// Who asks may, and the token is not for it: 401. What it would have to be for.
    Narrow(Scope),
}

impl Authorizer {
    /// With grants, or without any.
    pub(crate) fn new(grants: Option<Grants>) -> Self {
        Self { grants: grants.map(ArcSwap::from_pointee) }
    }

    /// Takes other grants from now on.
    pub(crate) fn replace(&self, grants: Grants) {
        if let Some(now) = &self.grants {
            now.store(Arc::new(grants));
        }
    }

    /// Whether somebody without credentials could pull anything.
    pub(crate) fn is_open_to_nobody(&self, address: IpAddr) -> bool {
        self.judge(&Caller::nobody(), address, |judge| judge.pulls_anything())
    }

    /// The scope that an action needs.
    pub(crate) fn scope_of(action: &Action) -> Scope {
        Need::of(action).scope()
    }

    /// Whether there may be repositories that a caller may not know of.
    pub(crate) fn hides_from(&self, caller: &Caller) -> bool {
        self.grants.is_some() || caller.machine().is_some()
    }

    /// Whether a caller may pull from a repository, and so know of it.
    pub(crate) fn may_pull(&self, caller: &Caller, address: IpAddr, repository: &RepositoryName) -> bool {
        self.judge(caller, address, |judge| judge.given(Wish::Pull, repository).is_some())
    }

    /// Whether `action` may be carried out for `caller`, who asks from `address`.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn decide(
        &self,
        caller: Caller,
        action: Action,
        headers: &HeaderMap,
        address: IpAddr,
    ) -> Result<Permit, Denial> {
        let (given, only_new, mount) = self.judge(&caller, address, |judge| judge.decide(&action))?;
        let action = if mount { into_upload(action) } else { action };
        Ok(Permit { caller, action, rewrite: Rewrite { form: is_form(headers), mount }, only_new, given })
    }

    fn judge<T>(&self, caller: &Caller, address: IpAddr, judgement: impl FnOnce(&Judge<'_>) -> T) -> T {
        let grants = self.grants.as_ref().map(ArcSwap::load);
        let asker = Asker { user: caller.name(), address, now: SystemTime::now() };
        judgement(&Judge { grants: grants.as_deref().map(AsRef::as_ref), caller, asker })
    }
}

/// One judgement by the grants of one moment.
struct Judge<'a> {
    grants: Option<&'a Grants>,
    caller: &'a Caller,
    asker: Asker<'a>,
}

/// By what a request is permitted, which tags must be new, and whether its mount becomes an upload.
type Judgement = (Option<Given>, Vec<Tag>, bool);

impl Judge<'_> {
    fn decide(&self, action: &Action) -> Result<Judgement, Denial> {
        let need = Need::of(action);
        let given = match need {
            Need::Login if self.caller.name().is_some() || self.caller.scope().is_some() => {
                return Ok((None, vec![], false));
            }
            Need::AnyPull if self.caller.name().is_some() || self.pulls_anything() => None,
            Need::Login | Need::AnyPull => return Err(Denial::Nobody(need.scope())),
            Need::Everywhere(rights) => {
                let given = rights.iter().map(|right| self.given_everywhere(*right)).collect::<Option<Vec<_>>>();
                Some(given.and_then(|given| given.last().copied()).ok_or_else(|| self.no_extension(&need))?)
            }
            Need::In(repository, wish) => Some(self.require(wish, repository)?),
        };
        if let Some(scope) = self.narrowing_scope() {
            let holds = match need {
                Need::In(repository, wish) => scope.holds(wish.right(), repository),
                _ => scope.catalog(),
            };
            if !holds {
                return Err(Denial::Narrow(need.scope()));
            }
        }
        match action {
            Action::PushManifest { repository, reference, tags } => self.tags(repository, reference, tags, given),
            Action::Restore { repository, tags, .. } => self.tags_again(repository, tags, given),
            Action::Trash(repository) => self.pulls_too(repository, given),
            Action::Mount { repository, from, .. } => Ok((given, vec![], !self.mounts(repository, from.as_ref())?)),
            _ => Ok((given, vec![], false)),
        }
    }

    /// Which of the tags that a manifest is to have must be new.
    fn tags(
        &self,
        repository: &RepositoryName,
        reference: &Reference<AnyDigest>,
        tags: &[Tag],
        mut given: Option<Given>,
    ) -> Result<Judgement, Denial> {
        let mut only_new = Vec::new();
        let named = if let Reference::Tag(tag) = reference { Some(tag) } else { None };
        for tag in named.into_iter().chain(tags) {
            given = match self.given(Wish::MoveTag(tag), repository) {
                None => {
                    only_new.push(tag.clone());
                    Some(self.require(Wish::CreateTag(tag), repository)?)
                }
                moves => moves,
            };
        }
        Ok((given, only_new, false))
    }

    /// Restoring makes tags, and moves none.
    fn tags_again(
        &self,
        repository: &RepositoryName,
        tags: &[Tag],
        mut given: Option<Given>,
    ) -> Result<Judgement, Denial> {
        for tag in tags {
            let moves = self.given(Wish::MoveTag(tag), repository);
            given = Some(moves.map_or_else(|| self.require(Wish::CreateTag(tag), repository), Ok)?);
        }
        Ok((given, vec![], false))
    }

    /// Who may delete in a repository and not read in it does not learn what was in it.
    fn pulls_too(&self, repository: &RepositoryName, given: Option<Given>) -> Result<Judgement, Denial> {
        self.require(Wish::Pull, repository)?;
        match self.narrowing_scope() {
            Some(known) if !known.holds(Right::Pull, repository) => {
                Err(Denial::Narrow(Scope::needed([(Right::Pull, repository), (Right::Delete, repository)])))
            }
            _ => Ok((given, vec![], false)),
        }
    }

    /// Whether a blob may be taken over from there. Where not, it is as if it were not there.
    fn mounts(&self, to: &RepositoryName, from: Option<&RepositoryName>) -> Result<bool, Denial> {
        let Some(from) = from.filter(|from| self.given(Wish::Pull, from).is_some()) else { return Ok(false) };
        match self.narrowing_scope() {
            Some(known) if !known.holds(Right::Pull, from) => {
                Err(Denial::Narrow(Scope::needed([(Right::Push, to), (Right::Pull, from)])))
            }
            _ => Ok(true),
        }
    }

    /// The scope that a token has beside what its user may. That of nobody is for what anyone may.
    fn narrowing_scope(&self) -> Option<&Scope> {
        self.caller.name().and(self.caller.scope())
    }

    fn pulls_anything(&self) -> bool {
        match self.grants {
            Some(grants) => grants.pulls_anything(&self.asker),
            None => self.asker.user.is_some(),
        }
    }

    fn given(&self, wish: Wish<'_>, repository: &RepositoryName) -> Option<Given> {
        let by_grants = match self.grants {
            Some(grants) => grants.permits(&self.asker, wish, repository).map(by),
            None => self.asker.user.map(|_| Given::ToUsers),
        };
        let by_token = |token: &Arc<MachineToken>| token.narrowing.permits(wish.right(), repository);
        by_grants.filter(|_| self.caller.machine().is_none_or(by_token))
    }

    fn given_everywhere(&self, right: Right) -> Option<Given> {
        let by_grants = match self.grants {
            Some(grants) => grants.permits_everywhere(&self.asker, right).map(by),
            None => self.asker.user.map(|_| Given::ToUsers),
        };
        by_grants.filter(|_| self.caller.machine().is_none_or(|token| permits_everywhere(&token.narrowing, right)))
    }

    fn require(&self, wish: Wish<'_>, repository: &RepositoryName) -> Result<Given, Denial> {
        self.given(wish, repository).ok_or_else(|| match self.caller.name() {
            None => Denial::Nobody(Scope::needed([(wish.right(), repository)])),
            Some(user) => {
                let (act, tag, gives) = match wish {
                    Wish::Pull => ("pull", None, "pull"),
                    Wish::Create => ("push", None, "create or push"),
                    Wish::CreateTag(tag) => ("push", Some(tag), "create or push of this tag"),
                    Wish::MoveTag(tag) => ("push", Some(tag), "push of this tag"),
                    Wish::DeleteTag(tag) => ("delete", Some(tag), "delete of this tag"),
                    Wish::Delete => ("delete", None, "delete of all tags"),
                };
                let what = tag.map_or_else(|| repository.to_string(), |tag| format!("{repository}:{tag}"));
                Denial::Forbidden(self.denied(user, act, &what, gives))
            }
        })
    }

    fn no_extension(&self, need: &Need<'_>) -> Denial {
        match self.caller.name() {
            None => Denial::Nobody(need.scope()),
            Some(user) => Denial::Forbidden(self.denied(user, "use", "this extension", "it on **")),
        }
    }

    fn denied(&self, user: &UserName, act: &str, what: &str, gives: &str) -> OciError {
        let by = match self.caller.machine() {
            Some(token) => format!("no grant and token {} together give", token.id),
            None => "no grant gives".to_owned(),
        };
        let message = format!("{user} may not {act} {what}: {by} {gives} (ask who runs this registry)");
        let detail = json!({ "user": user.as_str(), "action": act, "repository": what });
        OciError::new(ErrorCode::Denied, message).with_detail(detail)
    }
}

fn by(grant: &Grant) -> Given {
    Given::By { number: grant.number, line: grant.line }
}

fn permits_everywhere(narrowing: &Narrowing, right: Right) -> bool {
    narrowing.rights.holds(right) && narrowing.repositories.iter().any(Pattern::is_everything)
}

fn into_upload(action: Action) -> Action {
    match action {
        Action::Mount { repository, algorithm, .. } => Action::BeginUpload { repository, algorithm },
        other => other,
    }
}

#[cfg(test)]
mod tests;
