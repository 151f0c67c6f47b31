//! Uploads: what was acknowledged is there, and nothing else is there under a digest.

use lockgate_oci::Algorithm;

use super::explorer::{Scenario, holds};
use super::gate::ASIDE;
use super::sessions::{Ask, CONTENT, Ends, are_those_of_the_first, digest, goes_on, is_made, kept, program, session};
use crate::hasher::digest_of;

/// A part that is smaller than the content, and one that is not.
const PART: u64 = 6;
const LARGE: u64 = 100;

/// How tails are kept: in the session itself; or each in a piece, of which there are three at most.
const REST: (usize, usize) = (64, 3);
const PIECES: (usize, usize) = (0, 3);

/// How large parts are, how tails are kept, and how much goes wrong: less where there is more to explore.
type Over = (u64, (usize, usize), usize);
const SMALL: [Over; 2] = [(LARGE, REST, 1), (LARGE, PIECES, 1)];
const IN_PARTS: [Over; 2] = [(PART, REST, 1), (PART, PIECES, 1)];
const IN_PARTS_ALONE: [Over; 2] = [(PART, REST, 0), (PART, PIECES, 0)];

/// Of a session that came in these cuts, every schedule of these programs.
fn explore(cuts: &[usize], programs: &[&[(usize, Ask)]], ends: Ends, over: &[Over]) {
    for (part_size, tails, faults) in over.iter().copied() {
        let (found, session) = session(part_size, tails, cuts);
        let scenario = Scenario {
            found,
            part_size,
            tails,
            aside: ASIDE,
            programs: programs.iter().map(|asks| program(&session, asks)).collect(),
            faults,
            stalls: 0,
            always: kept(&session, ends),
            finally: goes_on(&session, ends),
        };
        holds(&format!("{programs:?}, parts of {part_size}, tails of {tails:?}"), &scenario);
    }
}

#[test]
fn two_nodes_that_add_to_a_session_at_once_lose_nothing_that_was_acknowledged() {
    let programs: [&[_]; 2] = [&[(0, Ask::Patch(2, 7))], &[(0, Ask::Patch(2, 9))]];
    explore(&[2], &programs, Ends::Never, &SMALL);
    explore(&[2], &programs, Ends::Never, &IN_PARTS);
    explore(&[2], &programs, Ends::Never, &[(3, REST, 0), (3, PIECES, 0)]);
}

#[test]
fn a_client_goes_on_at_another_node_while_the_first_still_receives() {
    let programs: [&[_]; 2] = [&[(0, Ask::Patch(2, 7))], &[(0, Ask::GoOn)]];
    explore(&[2], &programs, Ends::Done, &SMALL);
    explore(&[2], &programs, Ends::Done, &[(PART, REST, 1), (PART, PIECES, 0)]);
}

#[test]
fn two_nodes_that_finish_a_session_at_once_make_one_blob() {
    let finish = [(0, Ask::Finish(2, digest()))];
    explore(&[2], &[&finish, &finish], Ends::Done, &SMALL);
    explore(&[2], &[&finish, &finish], Ends::Done, &[(PART, REST, 1), (PART, PIECES, 0)]);
}

#[test]
fn two_nodes_that_finish_a_session_that_is_whole_make_one_blob() {
    let finish = [(0, Ask::Finish(CONTENT.len(), digest()))];
    explore(&[CONTENT.len()], &[&finish, &finish], Ends::Done, &SMALL);
    explore(&[CONTENT.len()], &[&finish, &finish], Ends::Done, &IN_PARTS_ALONE);
}

#[test]
fn two_nodes_that_finish_a_session_in_another_algorithm_make_one_blob() {
    let finish = [(0, Ask::Finish(2, digest_of(Algorithm::Sha512, CONTENT)))];
    explore(&[2], &[&finish, &finish], Ends::Done, &SMALL);
    explore(&[2], &[&finish, &finish], Ends::Done, &IN_PARTS_ALONE);
}

#[test]
fn a_session_is_finished_or_ended() {
    let programs: [&[_]; 2] = [&[(0, Ask::Finish(2, digest()))], &[(0, Ask::Cancel)]];
    explore(&[2], &programs, Ends::Cancelled, &SMALL);
    explore(&[2], &programs, Ends::Cancelled, &IN_PARTS);
}

#[test]
fn what_a_node_knows_of_a_session_that_has_gone_on_elsewhere_is_not_what_it_is() {
    let elsewhere = [(0, Ask::Patch(2, 7)), (1, Ask::Patch(7, 10)), (0, Ask::Finish(10, digest()))];
    let here = [(0, Ask::Patch(2, 10)), (0, Ask::Finish(10, digest()))];
    for (part_size, tails, faults) in SMALL.into_iter().chain(IN_PARTS_ALONE) {
        let (found, session) = session(part_size, tails, &[2]);
        let scenario = Scenario {
            found,
            part_size,
            tails,
            aside: ASIDE,
            programs: vec![program(&session, &elsewhere)],
            faults,
            stalls: 0,
            always: kept(&session, Ends::Done),
            finally: is_made(),
        };
        holds(&format!("{elsewhere:?}, parts of {part_size}, tails of {tails:?}"), &scenario);
    }
    for other in [Ask::Patch(2, 9), Ask::Cancel] {
        let ends = if matches!(other, Ask::Cancel) { Ends::Cancelled } else { Ends::Done };
        explore(&[2], &[&here, &[(0, other.clone())]], ends, &SMALL);
        explore(&[2], &[&here, &[(0, other)]], ends, &IN_PARTS_ALONE);
    }
}

#[test]
fn tails_that_are_merged_at_two_nodes_at_once_keep_their_bytes() {
    let small = [(0, Ask::Patch(3, 4)), (0, Ask::Patch(4, 5)), (1, Ask::Patch(5, 6))];
    explore(&[2, 3], &[&small, &[(0, Ask::Patch(3, 5))]], Ends::Never, &[(LARGE, PIECES, 0), (PART, PIECES, 0)]);
    explore(&[2, 3], &[&small[..1], &[(0, Ask::Patch(3, 5))]], Ends::Never, &[(LARGE, PIECES, 1)]);
}

#[test]
fn a_blob_that_two_clients_push_is_whole() {
    let whole = [(0, Ask::Whole)];
    explore(&[], &[&whole, &whole], Ends::Never, &SMALL);
    explore(&[], &[&whole, &whole], Ends::Never, &IN_PARTS_ALONE);
}

#[test]
fn a_digest_that_is_wrong_ends_no_session_that_has_gone_on() {
    let wrong = Ask::Finish(2, digest_of(Algorithm::Sha256, b"other"));
    let programs: [&[_]; 2] = [&[(0, Ask::Patch(2, 7))], &[(0, wrong)]];
    explore(&[2], &programs, Ends::Refused, &SMALL);
    explore(&[2], &programs, Ends::Refused, &IN_PARTS_ALONE);
}

#[test]
fn of_two_nodes_that_add_other_bytes_to_a_session_those_of_the_winner_become_the_blob() {
    // A session that has a part already has an upload in parts already.
    let with_a_part = [(3, REST, 0), (3, PIECES, 0)].map(|over| (over, 4));
    let over = SMALL.into_iter().chain(IN_PARTS).map(|over| (over, 2)).chain(with_a_part);
    for ((part_size, tails, faults), at) in over {
        let (found, session) = session(part_size, tails, &[at]);
        let programs = [Ask::Patch(at, at + 5), Ask::Other(at, b"xxxxx")];
        let programs = programs.map(|ask| program(&session, &[(0, ask)]));
        let scenario = Scenario {
            found,
            part_size,
            tails,
            aside: ASIDE,
            programs: programs.into(),
            faults,
            stalls: 0,
            always: kept(&session, Ends::Never),
            finally: are_those_of_the_first(&session),
        };
        holds(&format!("other bytes, parts of {part_size}, tails of {tails:?}"), &scenario);
    }
}
