//! Whether what was answered, and what is there, is as if the requests had come one after the other.

use std::collections::BTreeSet;

use super::client::Answer;

/// A request about the tag or its manifests, which are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// A manifest, and the tag on it.
    Push(usize),
    /// The same, if there is no such tag.
    PushNew(usize),
    DeleteTag,
    DeleteManifest(usize),
}

/// What is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct There {
    pub(super) manifests: BTreeSet<usize>,
    pub(super) tag: Option<usize>,
}

/// What an act does at one moment; false when it cannot be then. Whether it must be.
type Effect = (Box<dyn Fn(&mut There) -> bool>, bool);

fn must(effect: impl Fn(&mut There) -> bool + 'static) -> Effect {
    (Box::new(effect), true)
}

fn may(effect: impl Fn(&mut There) -> bool + 'static) -> Effect {
    (Box::new(effect), false)
}

fn keeps(manifest: usize) -> impl Fn(&mut There) -> bool {
    move |there| {
        there.manifests.insert(manifest);
        true
    }
}

fn tags(act: Act, manifest: usize) -> impl Fn(&mut There) -> bool {
    move |there| {
        let can = act == Act::Push(manifest) || there.tag.is_none();
        there.tag = if can { Some(manifest) } else { there.tag };
        can
    }
}

fn untags(manifest: usize) -> impl Fn(&mut There) -> bool {
    move |there| {
        there.tag = there.tag.filter(|tag| *tag != manifest);
        true
    }
}

fn removes(manifest: usize) -> impl Fn(&mut There) -> bool {
    move |there| untags(manifest)(there) && there.manifests.remove(&manifest)
}

/// What an act did by its answer. Without an answer it did some of it, or nothing.
fn effects(act: Act, status: Option<u16>) -> Vec<Effect> {
    match (act, status) {
        (Act::Push(manifest) | Act::PushNew(manifest), Some(201)) => {
            vec![must(move |there| keeps(manifest)(there) && tags(act, manifest)(there))]
        }
        // It may have come too late when its manifest was there.
        (Act::PushNew(manifest), Some(412)) => vec![may(keeps(manifest)), must(|there| there.tag.is_some())],
        // The manifest may be deleted beside, once: then it is pushed once more.
        (Act::Push(manifest) | Act::PushNew(manifest), _) => vec![
            may(keeps(manifest)),
            may(tags(act, manifest)),
            may(removes(manifest)),
            may(keeps(manifest)),
            may(tags(act, manifest)),
        ],
        (Act::DeleteTag, Some(404)) => vec![must(|there| there.tag.is_none())],
        (Act::DeleteTag, Some(202)) => vec![must(|there| there.tag.take().is_some())],
        (Act::DeleteTag, _) => vec![may(|there| there.tag.take().is_some())],
        (Act::DeleteManifest(manifest), Some(404)) => vec![must(move |there| !there.manifests.contains(&manifest))],
        (Act::DeleteManifest(manifest), Some(202)) => vec![must(removes(manifest))],
        (Act::DeleteManifest(manifest), _) => vec![may(untags(manifest)), may(removes(manifest))],
    }
}

/// Whether some order of the acts, each program's in its own, explains its answers and what is there.
pub(super) fn explained(found: &There, programs: &[Vec<Act>], answers: &[Vec<Answer>], there: &There) -> bool {
    let effects = programs.iter().zip(answers).map(|(acts, answers)| {
        // What comes after the one that is under way has not begun.
        let begun = acts.iter().take(answers.len() + 1).enumerate();
        begun.flat_map(|(number, act)| effects(*act, answers.get(number).map(|answer| answer.status))).collect()
    });
    let effects: Vec<Vec<Effect>> = effects.collect();
    is_explained(found, &effects, &mut vec![0; programs.len()], there)
}

fn is_explained(now: &There, effects: &[Vec<Effect>], at: &mut Vec<usize>, there: &There) -> bool {
    let is_over = effects.iter().zip(&*at).all(|(effects, at)| effects[*at..].iter().all(|(_, must)| !must));
    if is_over && now == there {
        return true;
    }
    for program in 0..effects.len() {
        let Some((effect, must)) = effects[program].get(at[program]) else { continue };
        let mut next = now.clone();
        let can = effect(&mut next);
        at[program] += 1;
        let is = can && is_explained(&next, effects, at, there) || !must && is_explained(now, effects, at, there);
        at[program] -= 1;
        if is {
            return true;
        }
    }
    false
}
