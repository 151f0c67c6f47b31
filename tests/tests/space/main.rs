//! Promise: what was deleted comes back, what nobody needs goes by itself, and nothing is ever lost on the way.

mod collection;
mod commands;
mod retention;
mod trash;
mod verify;
