//! Promise: a bucket is a place like a directory is one, for any number of nodes at once, of which each may be lost at any
//! moment; and the bucket of a registry:2 is one, too.

mod adoption;
mod check;
mod churn;
mod client;
mod copy;
mod credentials;
mod gates;
mod interleavings;
mod redirects;
mod trust;
mod uploads;
