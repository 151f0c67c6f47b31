//! A sorted set of names in little more memory than their bytes, to be read from any point on.

/// Bytes of a block, at most. Adding a name moves half of one on average.
const BLOCK: usize = 4096;

/// What ends each name within a block: the one character that no file's name has.
const END: char = '/';

/// Names of files, in the order of their bytes.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Each holds names in order, and none is empty; all of one sort before all of the next.
    blocks: Vec<String>,
    bytes: usize,
}

fn names(block: &str) -> impl Iterator<Item = &str> {
    block.split_terminator(END)
}

fn first(block: &str) -> &str {
    names(block).next().unwrap_or_default()
}

impl Names {
    /// The set of names that `listed` holds in any order, each ended by `/`.
    pub(super) fn from_listed(listed: &str) -> Self {
        let mut sorted: Vec<&str> = names(listed).collect();
        sorted.sort_unstable();
        sorted.dedup();
        let mut set = Self::default();
        for name in sorted {
            match set.blocks.last_mut() {
                Some(block) if block.len() + name.len() < BLOCK => block.push_str(name),
                _ => set.blocks.push(name.to_owned()),
            }
            set.blocks.last_mut().expect("there is one now").push(END);
            set.bytes += name.len() + 1;
        }
        set.blocks.iter_mut().for_each(String::shrink_to_fit);
        set
    }

    /// How much memory it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.blocks.len() * size_of::<String>()
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.blocks.get(self.block_of(name)).is_some_and(|block| names(block).any(|listed| listed == name))
    }

    /// The names that sort after `after`.
    pub(crate) fn after<'a>(&'a self, after: &'a str) -> impl Iterator<Item = &'a str> {
        let later = self.blocks.get(self.block_of(after)..).unwrap_or_default();
        later.iter().flat_map(|block| names(block)).skip_while(move |name| *name <= after)
    }

    pub(super) fn insert(&mut self, name: &str) {
        let index = self.block_of(name);
        if self.blocks.is_empty() {
            self.blocks.push(String::new());
        }
        let block = &mut self.blocks[index];
        let position = position_of(block, name);
        if names(&block[position..]).next() == Some(name) {
            return;
        }
        block.insert(position, END);
        block.insert_str(position, name);
        self.bytes += name.len() + 1;
        if block.len() > BLOCK {
            let half = block.len() / 2;
            let end = half + block[half..].find(END).map_or(0, |end| end + END.len_utf8());
            let rest = block.split_off(end);
            if !rest.is_empty() {
                self.blocks.insert(index + 1, rest);
            }
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        let index = self.block_of(name);
        let Some(block) = self.blocks.get_mut(index) else { return };
        let position = position_of(block, name);
        if names(&block[position..]).next() != Some(name) {
            return;
        }
        block.drain(position..=position + name.len());
        self.bytes -= name.len() + 1;
        if block.is_empty() {
            self.blocks.remove(index);
        }
    }

    /// The block that a name is in, if it is in any.
    fn block_of(&self, name: &str) -> usize {
        self.blocks.partition_point(|block| first(block) <= name).saturating_sub(1)
    }
}

/// Where in a block a name stands, or would.
fn position_of(block: &str, name: &str) -> usize {
    names(block).take_while(|listed| *listed < name).map(|listed| listed.len() + END.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn all(set: &Names) -> Vec<&str> {
        set.blocks.iter().flat_map(|block| names(block)).collect()
    }

    /// Long enough that a few hundred fill several blocks.
    const NAME: &str = "[ab]{0,3}x{0,60}[ab]{1,5}";

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_holds_what_a_sorted_set_holds(
            listed in proptest::collection::vec(NAME, 0..200),
            changes in proptest::collection::vec((any::<bool>(), NAME), 0..300),
            after in "[ab]{0,3}x{0,60}",
        ) {
            let mut model: BTreeSet<String> = listed.iter().cloned().collect();
            let mut set = Names::from_listed(&listed.iter().map(|name| format!("{name}/")).collect::<String>());
            for (added, name) in &changes {
                // Some of those that are there, too.
                let known = model.iter().next().cloned().filter(|_| name.len() % 2 == 0);
                let name = known.as_ref().unwrap_or(name);
                if *added { set.insert(name); model.insert(name.clone()); } else { set.remove(name); model.remove(name); }
                prop_assert_eq!(set.contains(name), *added);
            }
            prop_assert_eq!(all(&set), model.iter().map(String::as_str).collect::<Vec<_>>());
            let later: Vec<_> = set.after(&after).collect();
            prop_assert_eq!(later, model.iter().map(String::as_str).filter(|name| *name > after.as_str()).collect::<Vec<_>>());
            prop_assert_eq!(set.bytes, model.iter().map(|name| name.len() + 1).sum::<usize>());
            prop_assert!(set.blocks.iter().all(|block| !block.is_empty() && block.len() <= BLOCK));
        }
    }

    #[test]
    fn a_hundred_thousand_names_take_little_more_than_their_bytes() {
        let listed: String = (0..100_000).map(|i| format!("v1.{i}/")).collect();
        let set = Names::from_listed(&listed);
        assert!(set.bytes() < listed.len() + listed.len() / 50, "{} of {}", set.bytes(), listed.len());
        assert_eq!(set.after("v1.99998").collect::<Vec<_>>(), ["v1.99999"]);
    }
}
