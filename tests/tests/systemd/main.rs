//! Promise: the systemd units that are shipped work as the guide says, leave a process next to no right, and are
//! restarted without a lost request; and so does the Debian package that has them.

mod guide;
mod installation;
mod machine;
mod package;
mod restart;
mod sandbox;
mod units;
