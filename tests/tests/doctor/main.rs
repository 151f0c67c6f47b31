//! Promise: `lockgate doctor` finds what is broken between clients and a registry, that alone, and nothing where all is
//! right; and a server that does not mean well gets no password and no hold on it.

mod asked;
mod bodies;
mod certificates;
mod hostile;
mod registries;
mod right;
mod site;
