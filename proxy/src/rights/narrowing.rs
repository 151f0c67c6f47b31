//! What is left of somebody's rights.

use lockgate_oci::RepositoryName;

use super::{Pattern, Right, Rights};

/// What a machine's token leaves of its owner's rights. It gives none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrowing {
    /// The repositories that are left. The owner's name in them has to be written out.
    pub repositories: Vec<Pattern>,
    /// The rights that are left.
    pub rights: Rights,
}

impl Narrowing {
    /// Whether this much is left.
    pub fn permits(&self, right: Right, name: &RepositoryName) -> bool {
        self.rights.holds(right) && self.repositories.iter().any(|pattern| pattern.matches(name, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_and_a_repository_are_left_or_not() {
        let narrowing = Narrowing {
            repositories: vec!["team/app".parse().unwrap(), "home/${user}".parse().unwrap()],
            rights: "create".parse().unwrap(),
        };
        let permits = |right, name: &str| narrowing.permits(right, &name.parse().unwrap());
        assert!(permits(Right::Pull, "team/app") && permits(Right::Create, "team/app"));
        assert!(!permits(Right::Push, "team/app") && !permits(Right::Delete, "team/app"));
        assert!(!permits(Right::Pull, "team/other") && !permits(Right::Pull, "home/user"));
    }
}
