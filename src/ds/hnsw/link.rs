//! Links: how a node is tied into the graph (Algorithms 1 and 4), and how the graph is mended where one was taken out.

use super::Hnsw;
use super::search::Near;

/// A node hides another behind it only if it is nearer to it than the centre by this factor: else the links that hold clusters
/// together would go first, for near them there is always something a little nearer (the slack of Vamana, NeurIPS 2019).
const SLACK: f32 = 1.2;
/// Neighbours of a removed node are tied to each other in groups of so many: all pairs of a group are measured.
const GROUP: usize = 256;

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
        // On the lowest level half as many again as the paper's M: in graphs of 128 random components more of the nearest are
        // found. The rest of the room is for nodes between which this one is put.
        let most = if level == 0 { self.m + self.m / 2 } else { self.m };
        let chosen = self.choose(candidates, most);
        for &near in &chosen {
            let node = &self.nodes[id as usize];
            if !node.is_full(level) && !node.links(level).contains(&near.id()) {
                self.link_or_displace(level, near.id(), id);
            }
        }
        // All were full of better links: one must make room, or the node could never be found.
        if let (true, Some(nearest)) = (self.nodes[id as usize].links(level).is_empty(), chosen.first()) {
            self.force(level, nearest.id(), id);
        }
    }

    /// Links a node to a full one, between it and its farthest link that has others, so that nothing falls apart; if none has
    /// others, to one of those.
    fn force(&mut self, level: usize, full: u32, id: u32) {
        let (probe, links) = (self.probe(full), self.nodes[full as usize].links(level));
        let has_others = |near: &Near| self.nodes[near.id() as usize].links(level).len() > 1;
        match links.iter().map(|&link| self.near(probe, link)).filter(has_others).max() {
            Some(farthest) => {
                self.unlink(level, full, farthest.id());
                self.link(level, full, id);
                self.link(level, id, farthest.id());
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
            let hidden = chosen.iter().any(|near| self.hides(near.id(), candidate));
            if hidden { &mut passed } else { &mut chosen }.push(candidate);
        }
        let left = most - chosen.len();
        chosen.extend(passed.into_iter().take(left));
        chosen
    }

    /// Whether a candidate lies in the direction of another node, which is nearer to the centre that its distance is from.
    fn hides(&self, nearer: u32, candidate: Near) -> bool {
        SLACK * self.distance(nearer, candidate.id()) <= candidate.distance()
    }

    /// Links `id` to a node that may be full; then that node gives up the link that it can spare best, unless that is this one.
    fn link_or_displace(&mut self, level: usize, full: u32, id: u32) {
        let mut between = None;
        if self.nodes[full as usize].is_full(level) {
            let Some((spare, is_hidden)) = self.spare_link(level, full, id) else { return };
            self.unlink(level, full, spare);
            // Among copies no direction is better than another: nothing but such links may hold them together.
            between = Some(spare).filter(|&spare| !is_hidden || self.distance(full, spare) == 0.0);
        }
        self.link(level, full, id);
        let Some(spare) = between else { return };
        let node = &self.nodes[id as usize];
        if !node.is_full(level) && !node.links(level).contains(&spare) {
            self.link(level, id, spare);
        }
    }

    /// Which link a full node gives up for one to `new`: the farthest of those in whose direction it has a nearer one, else the
    /// farthest at all. Nodes with few links keep theirs. Also whether it is hidden. `None` if the new one is the one to give up.
    fn spare_link(&self, level: usize, full: u32, new: u32) -> Option<(u32, bool)> {
        let probe = self.probe(full);
        let links = self.nodes[full as usize].links(level);
        let mut all: Vec<Near> = links.iter().chain([&new]).map(|&link| self.near(probe, link)).collect();
        all.sort_unstable();
        let few = self.m / 2;
        let can_spare = |near: &Near| near.id() == new || self.nodes[near.id() as usize].links(level).len() > few;
        // The farthest hidden one is wanted, so they are tried from afar.
        let hidden = (1..all.len())
            .rev()
            .find(|&at| can_spare(&all[at]) && all[..at].iter().any(|near| self.hides(near.id(), all[at])));
        let spare = match hidden {
            Some(at) => all[at],
            None => all.iter().rev().copied().find(can_spare)?,
        };
        (spare.id() != new).then_some((spare.id(), hidden.is_some()))
    }

    pub(super) fn link(&mut self, level: usize, a: u32, b: u32) {
        debug_assert!(a != b && !self.nodes[a as usize].links(level).contains(&b));
        self.preserve(a);
        self.preserve(b);
        self.nodes[a as usize].add_link(level, b);
        self.nodes[b as usize].add_link(level, a);
    }

    fn unlink(&mut self, level: usize, a: u32, b: u32) {
        self.preserve(a);
        self.preserve(b);
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
            orphans.chunks(GROUP).for_each(|group| self.mend(level, group));
            if level == 0 {
                orphans.iter().for_each(|&orphan| self.mend_lonely(orphan, id));
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

    /// Each of some nodes lost its link to one between them. The nearest pairs are linked: first such as are not held together
    /// by links among them already (Kruskal's algorithm), then such as have got nothing yet.
    fn mend(&mut self, level: usize, orphans: &[u32]) {
        // The group that each belongs to, by the index of one of its members.
        let mut groups: Vec<usize> = (0..orphans.len()).collect();
        let mut pairs: Vec<(f32, usize, usize)> = Vec::with_capacity(orphans.len() * orphans.len() / 2);
        for (a, &id) in orphans.iter().enumerate() {
            for (b, &other) in orphans.iter().enumerate().skip(a + 1) {
                if self.nodes[id as usize].links(level).contains(&other) {
                    join(&mut groups, a, b);
                } else {
                    pairs.push((self.distance(id, other), a, b));
                }
            }
        }
        pairs.sort_unstable_by(|x, y| x.0.total_cmp(&y.0));
        let mut mended = vec![false; orphans.len()];
        for connects in [true, false] {
            for &(_, a, b) in &pairs {
                let wanted = if connects { groups[a] != groups[b] } else { !mended[a] && !mended[b] };
                if wanted
                    && !self.nodes[orphans[a] as usize].is_full(level)
                    && !self.nodes[orphans[b] as usize].is_full(level)
                {
                    self.link(level, orphans[a], orphans[b]);
                    join(&mut groups, a, b);
                    (mended[a], mended[b]) = (true, true);
                }
            }
        }
    }

    /// A node that has no link left on the lowest level, where every node must be found, is tied in anew, but not to the one
    /// that is going.
    fn mend_lonely(&mut self, id: u32, going: u32) {
        if !self.nodes[id as usize].links(0).is_empty() {
            return;
        }
        let probe = self.probe(id);
        let mut start = self.descend(probe, 0);
        if start.id() == id {
            // It is the entry, or all that leads down leads to it: begin anywhere else.
            let len = self.nodes.len() as u32;
            let Some(other) = (1..len).map(|step| (id + step) % len).find(|&other| other != going) else { return };
            start = self.near(probe, other);
        }
        let mut nearest = self.search_level(probe, start, 2 * self.m, 0, None);
        nearest.retain(|near| near.id() != id);
        self.connect(0, id, &nearest);
    }
}

/// Two groups become one.
fn join(groups: &mut [usize], a: usize, b: usize) {
    let (from, to) = (groups[a], groups[b]);
    if from != to {
        groups.iter_mut().filter(|group| **group == from).for_each(|group| *group = to);
    }
}
