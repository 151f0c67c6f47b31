//! Promise: what was deleted comes back, what nobody needs goes by itself, and nothing is ever lost on the way.

mod chaos;
mod collection;
mod commands;
mod docker;
mod model;
mod pusher;
mod quota;
mod retention;
mod running;
mod trash;
mod verify;
mod world;
