//! Links: how a node is tied into the graph (Algorithms 1 and 4), and how the graph is mended where one was taken out.

use super::Hnsw;
use super::search::Near;

impl Hnsw {
    /// Ties a node without links into the graph (Algorithm 1, from its step 3).
    pub(super) fn attach(&mut self, id: u32, ef: usize) {
        if self.nodes.len() == 1 {
            self.entry = id;
            return;
        }
        let (level, top) = (self.nodes[id as usize].level(), self.level());
        let mut start = self.descend(self.probe(id), level);
        for level in (0..=level.min(top)).rev() {
            let nearest = self.search_level(self.probe(id), start, ef, level, None);
            start = nearest.first().copied().unwrap_or(start);
            self.connect(level, id, &nearest);
        }
        if level > top {
            self.entry = id;
        }
    }

    /// Links a node on a level to the best of some candidates, which are in order.
    fn connect(&mut self, level: usize, id: u32, candidates: &[Near]) {
        let chosen = self.choose(candidates, self.m);
        for &near in &chosen {
            self.link_or_displace(level, near.id(), id);
        }
        // All were full of better links: one must make room, or the node could never be found.
        if let (true, Some(nearest)) = (self.nodes[id as usize].links(level).is_empty(), chosen.first()) {
            self.force(level, nearest.id(), id);
        }
    }

    /// Links a node to a full one in place of its farthest link that has others; if none has, to one of those.
    fn force(&mut self, level: usize, full: u32, id: u32) {
        let (probe, links) = (self.probe(full), self.nodes[full as usize].links(level));
        let has_others = |near: &Near| self.nodes[near.id() as usize].links(level).len() > 1;
        match links.iter().map(|&link| self.near(probe, link)).filter(has_others).max() {
            Some(farthest) => {
                self.unlink(level, full, farthest.id());
                self.link(level, full, id);
            }
            None => self.link(level, links[0], id),
        }
    }

    /// Up to `most` candidates in different directions: one that is nearer to a chosen one than to the centre is taken only
    /// if places are left (Algorithm 4, keeping pruned connections). The candidates are in order; so is the choice, in two runs.
    fn choose(&self, candidates: &[Near], most: usize) -> Vec<Near> {
        let mut chosen: Vec<Near> = Vec::with_capacity(most);
        let mut passed: Vec<Near> = Vec::new();
        for &candidate in candidates {
            if chosen.len() == most {
                break;
            }
            let hidden = chosen.iter().any(|near| self.distance(near.id(), candidate.id()) < candidate.distance());
            if hidden { &mut passed } else { &mut chosen }.push(candidate);
        }
        let left = most - chosen.len();
        chosen.extend(passed.into_iter().take(left));
        chosen
    }

    /// Links `id` to a node that may be full; then that node gives up the link that it can spare best, unless that is this one.
    fn link_or_displace(&mut self, level: usize, full: u32, id: u32) {
        if self.nodes[full as usize].is_full(level) {
            let Some(spare) = self.spare_link(level, full, id) else { return };
            self.unlink(level, full, spare);
        }
        self.link(level, full, id);
    }

    /// Which link a full node gives up for one to `new`: the farthest of those in whose direction it has a nearer one, else the
    /// farthest at all. Nodes with few links keep theirs. `None` if the new one is the one to give up.
    fn spare_link(&self, level: usize, full: u32, new: u32) -> Option<u32> {
        let probe = self.probe(full);
        let links = self.nodes[full as usize].links(level);
        let mut all: Vec<Near> = links.iter().chain([&new]).map(|&link| self.near(probe, link)).collect();
        all.sort_unstable();
        let few = self.m / 2;
        let can_spare = |near: &Near| near.id() == new || self.nodes[near.id() as usize].links(level).len() > few;
        // The farthest hidden one is wanted, so they are tried from afar.
        let hidden = (1..all.len()).rev().find(|&at| {
            let candidate = all[at];
            let is_hidden = |near: &Near| self.distance(near.id(), candidate.id()) < candidate.distance();
            can_spare(&candidate) && all[..at].iter().any(is_hidden)
        });
        let spare = match hidden {
            Some(at) => all[at],
            None => all.iter().rev().copied().find(can_spare)?,
        };
        (spare.id() != new).then_some(spare.id())
    }

    pub(super) fn link(&mut self, level: usize, a: u32, b: u32) {
        debug_assert!(a != b && !self.nodes[a as usize].links(level).contains(&b));
        self.nodes[a as usize].add_link(level, b);
        self.nodes[b as usize].add_link(level, a);
    }

    fn unlink(&mut self, level: usize, a: u32, b: u32) {
        let mutual = self.nodes[a as usize].remove_link(level, b) && self.nodes[b as usize].remove_link(level, a);
        debug_assert!(mutual, "links are mutual");
    }

    /// Takes a node out of the graph and ties its neighbours to each other instead.
    pub(super) fn detach(&mut self, id: u32) {
        let level = self.nodes[id as usize].level();
        if self.entry == id {
            self.replace_entry(id);
        }
        for level in (0..=level).rev() {
            let orphans = self.nodes[id as usize].links(level).to_vec();
            orphans.iter().for_each(|&orphan| self.unlink(level, id, orphan));
            self.mend(level, &orphans);
            if level == 0 {
                orphans.iter().for_each(|&orphan| self.mend_lonely(level, orphan));
            }
        }
    }

    /// Another entry: a neighbour on the highest level, which must have it too, else any of the highest nodes.
    fn replace_entry(&mut self, id: u32) {
        let node = &self.nodes[id as usize];
        if let Some(&neighbour) = node.links(node.level()).first() {
            self.entry = neighbour;
            return;
        }
        let others = (0..self.levels.len() as u32).filter(|&other| other != id);
        if let Some(highest) = others.max_by_key(|&other| self.levels[other as usize]) {
            self.entry = highest;
        }
    }

    /// Each of some nodes lost a link on a level: the nearest pairs of them are linked, each node once.
    fn mend(&mut self, level: usize, orphans: &[u32]) {
        let mut pairs: Vec<(f32, u32, u32)> = Vec::with_capacity(orphans.len() * orphans.len() / 2);
        for (at, &a) in orphans.iter().enumerate() {
            for &b in &orphans[at + 1..] {
                if !self.nodes[a as usize].links(level).contains(&b) {
                    pairs.push((self.distance(a, b), a, b));
                }
            }
        }
        pairs.sort_unstable_by(|x, y| x.0.total_cmp(&y.0));
        let mut mended: Vec<u32> = Vec::with_capacity(orphans.len());
        for (_, a, b) in pairs {
            let is_whole = |id: u32| mended.contains(&id) || self.nodes[id as usize].is_full(level);
            if !is_whole(a) && !is_whole(b) {
                self.link(level, a, b);
                mended.extend([a, b]);
            }
        }
    }

    /// A node that has no link left is tied in anew. Only on the lowest level: there every node must be found.
    fn mend_lonely(&mut self, level: usize, id: u32) {
        if level > 0 || self.nodes.len() < 2 || !self.nodes[id as usize].links(0).is_empty() {
            return;
        }
        let probe = self.probe(id);
        let mut start = self.descend(probe, 0);
        if start.id() == id {
            // It is the entry, or all that leads down leads to it: begin anywhere else.
            let other = (id + 1) % self.nodes.len() as u32;
            start = self.near(probe, other);
        }
        let mut nearest = self.search_level(probe, start, 2 * self.m, 0, None);
        nearest.retain(|near| near.id() != id);
        self.connect(0, id, &nearest);
    }
}
