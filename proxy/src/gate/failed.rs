//! What is said of a request that failed on its way.

use crate::listener::{BodyError, Gone};
use crate::refusal::{self, Refusal};
use crate::upstream::Failure;

/// What a client is told when its request failed on the way. The connection ends with it: a body that is malformed or
/// does not come has no end to read on to, and a client that stays behind a broken upstream holds a place.
pub(super) fn words_for(failure: &Failure) -> Result<Refusal, Gone> {
    Ok(match failure {
        Failure::Client(BodyError::Gone) => return Err(Gone),
        Failure::Client(BodyError::Malformed) => Refusal::hanging_up(refusal::malformed_body()),
        Failure::Client(BodyError::Stalled) => Refusal::hanging_up(refusal::body_stalled()),
        Failure::Client(BodyError::TooSlow) => Refusal::hanging_up(refusal::body_too_slow()),
        Failure::Unreachable(_) => Refusal::hanging_up(refusal::unreachable()),
        Failure::Silent => Refusal::hanging_up(refusal::upstream_silent()),
        Failure::BrokeOff(_) => Refusal::hanging_up(refusal::broke_off()),
    })
}
