//! The graph against brute force and a naive map, under insertions, moves and removals.

use super::*;
use crate::base::rng::{Rng, steps};
use std::collections::BTreeMap;

fn vector(rng: &mut Rng, dim: usize) -> Vec<f32> {
    // Sums of uniform numbers are nearly normal, which spreads directions evenly.
    (0..dim).map(|_| (0..6).map(|_| rng.below(1 << 20) as f32).sum::<f32>() / (1 << 20) as f32 - 3.0).collect()
}

fn name(n: u64) -> Vec<u8> {
    format!("element:{n}").into_bytes()
}

/// The share of the nearest ten that a search of the default width finds.
fn recall(graph: &Hnsw, rng: &mut Rng, ef: usize) -> f64 {
    let (mut hits, rounds) = (0, 60);
    for _ in 0..rounds {
        let query = graph.form().encode(&vector(rng, graph.form().dim));
        let exact = graph.search_all(&query, 10, None);
        let found = graph.search(&query, ef, None);
        assert!(found.windows(2).all(|pair| pair[0].distance <= pair[1].distance));
        // Ties count whoever they are.
        let worst = exact.last().map_or(0.0, |last| last.distance);
        hits += found.iter().take(10).filter(|one| one.distance <= worst).count();
    }
    hits as f64 / (10 * rounds) as f64
}

fn filled(quant: Quant, dim: usize, nodes: u64, rng: &mut Rng) -> Hnsw {
    let mut graph = Hnsw::new(Form::new(quant, dim), 16);
    for n in 0..nodes {
        let stored = graph.form().encode(&vector(rng, dim));
        graph.insert(&name(n), &stored, 200, &mut || rng.next_u64());
    }
    graph
}

#[test]
fn the_nearest_are_found() {
    let nodes = if cfg!(debug_assertions) { 1_000 } else { 4_000 };
    for (quant, dim, least) in
        [(Quant::F32, 32, 0.95), (Quant::Int8, 32, 0.95), (Quant::Int8, 64, 0.95), (Quant::Bin, 256, 0.8)]
    {
        let mut rng = Rng::seeded(5);
        let graph = filled(quant, dim, nodes, &mut rng);
        graph.check();
        let found = recall(&graph, &mut rng, 100);
        println!("{quant:?} of {dim}: {found}");
        assert!(found >= least, "{quant:?} of {dim}: recall {found}");
    }
}

#[test]
fn the_nearest_are_still_found_when_most_elements_have_gone_or_moved() {
    let mut rng = Rng::seeded(6);
    let nodes = if cfg!(debug_assertions) { 600 } else { 3_000 };
    let mut graph = filled(Quant::Int8, 24, nodes, &mut rng);
    for n in 0..nodes {
        match n % 4 {
            0 | 1 => assert!(graph.remove(&name(n)).is_some()),
            2 => {
                let stored = graph.form().encode(&vector(&mut rng, 24));
                let inserted = graph.insert(&name(n), &stored, 200, &mut || rng.next_u64());
                assert!(matches!(inserted, Inserted::Moved(_)));
            }
            _ => {}
        }
    }
    graph.check();
    assert_eq!(graph.len() as u64, nodes / 2);
    let found = recall(&graph, &mut rng, 100);
    println!("after changes: {found}");
    assert!(found >= 0.95, "recall {found}");
}

/// Vectors around a few centres that are far apart, the noise being this large; in turns, or one centre after the other.
fn clustered(rng: &mut Rng, nodes: u64, noise: f32, in_turns: bool) -> Hnsw {
    let centres: Vec<Vec<f32>> = (0..20).map(|_| vector(rng, 24)).collect();
    let mut graph = Hnsw::new(Form::new(Quant::Int8, 24), 16);
    for n in 0..nodes {
        let centre = &centres[(if in_turns { n % 20 } else { n * 20 / nodes }) as usize];
        let given: Vec<f32> = vector(rng, 24).iter().zip(centre).map(|(x, c)| noise * x + c).collect();
        graph.insert(&name(n), &graph.form().encode(&given), 200, &mut || rng.next_u64());
    }
    graph
}

/// How many nodes are reached on the lowest level.
fn reached(graph: &Hnsw) -> usize {
    let mut seen = vec![false; graph.len()];
    let mut ahead = vec![graph.entry];
    while let Some(id) = ahead.pop() {
        if !std::mem::replace(&mut seen[id as usize], true) {
            ahead.extend(graph.nodes[id as usize].links(0));
        }
    }
    seen.iter().filter(|seen| **seen).count()
}

#[test]
fn clusters_and_copies_do_not_fall_apart() {
    let nodes = if cfg!(debug_assertions) { 400 } else { 2_000 };
    // Tight clusters that came one after the other are the hardest to find the way between.
    for (seed, noise, in_turns, least) in
        [(1, 0.1, true, 0.95), (2, 0.1, false, 0.9), (3, 0.01, false, 0.8), (4, 0.0, true, 0.8), (5, 0.0, false, 0.8)]
    {
        let mut rng = Rng::seeded(seed);
        let mut graph = clustered(&mut rng, nodes, noise, in_turns);
        graph.check();
        assert_eq!(reached(&graph), graph.len(), "seed {seed}");
        for n in (0..nodes).filter(|n| n % 3 != 0) {
            graph.remove(&name(n));
        }
        graph.check();
        let (reached, found) = (reached(&graph), recall(&graph, &mut rng, 100));
        println!("noise {noise} in turns {in_turns}: {reached} of {} reached, recall {found}", graph.len());
        assert!(
            reached * 100 >= graph.len() * 99 && found >= least,
            "seed {seed}: {reached} of {}, {found}",
            graph.len()
        );
    }
}

#[test]
fn behaves_as_a_map_of_vectors() {
    for seed in 0..6u64 {
        println!("seed {seed}");
        let mut rng = Rng::seeded(seed);
        let form = Form::new([Quant::F32, Quant::Int8, Quant::Bin][seed as usize % 3], 7);
        // Few links make full lists and lonely nodes.
        let mut graph = Hnsw::new(form, [4, 5, 16][seed as usize / 2]);
        let mut model: BTreeMap<Vec<u8>, Encoded> = BTreeMap::new();
        for step in 0..steps(40_000) {
            let key = name(rng.below(200));
            if rng.below(5) < 3 {
                // Now and then the same vector for many.
                let given = if rng.below(3) == 0 { vec![1.0; 7] } else { vector(&mut rng, 7) };
                let stored = form.encode(&given);
                let inserted = graph.insert(&key, &stored, 10, &mut || rng.next_u64());
                let was_there = model.insert(key, stored).is_some();
                assert_eq!(matches!(inserted, Inserted::Moved(_)), was_there);
            } else {
                assert_eq!(graph.remove(&key).is_some(), model.remove(&key).is_some());
            }
            if step % 500 == 0 {
                agree(&graph, &model);
                agree(&graph.clone(), &model);
            }
        }
    }
}

fn agree(graph: &Hnsw, model: &BTreeMap<Vec<u8>, Encoded>) {
    graph.check();
    assert_eq!(graph.len(), model.len());
    let names: Vec<&[u8]> = graph.names(Bound::Unbounded, Bound::Unbounded).collect();
    assert_eq!(names, model.keys().map(Vec::as_slice).collect::<Vec<_>>());
    for (key, stored) in model {
        assert_eq!(graph.find(key).map(NodeRef::encoded).as_ref(), Some(stored));
    }
    let (low, high) = (&b"element:11"[..], &b"element:3"[..]);
    let between = graph.names(Bound::Excluded(low), Bound::Included(high)).count();
    assert_eq!(between, model.keys().filter(|key| key.as_slice() > low && key.as_slice() <= high).count());
    assert_eq!(graph.names(Bound::Excluded(high), Bound::Excluded(low)).count(), 0);
}

#[test]
fn a_filter_is_asked_and_its_effort_has_an_end() {
    let mut rng = Rng::seeded(9);
    let graph = filled(Quant::Int8, 16, 1_000, &mut rng);
    let query = graph.form().encode(&vector(&mut rng, 16));
    let third = &mut |id: u32| id % 3 == 0;
    let found = graph.search(&query, 20, Some(Filter { accepts: third, effort: usize::MAX }));
    assert!(found.len() == 20 && found.iter().all(|one| one.id % 3 == 0));
    let exact = graph.search_all(&query, 20, Some(Filter { accepts: &mut |id| id % 3 == 0, effort: 0 }));
    let same = found.iter().filter(|one| exact.contains(one)).count();
    assert!(same >= 18, "{same} of 20");
    let mut asked = 0;
    let never = &mut |_| {
        asked += 1;
        false
    };
    assert!(graph.search(&query, 20, Some(Filter { accepts: never, effort: 100 })).is_empty());
    assert!((100..200).contains(&asked), "{asked} nodes were looked at");
    let never = &mut |_| false;
    assert!(graph.search(&query, 20, Some(Filter { accepts: never, effort: usize::MAX })).is_empty());
}

#[test]
fn a_graph_is_restored_from_its_parts() {
    let mut rng = Rng::seeded(4);
    let graph = filled(Quant::F32, 8, 300, &mut rng);
    let mut copy = Hnsw::new(graph.form(), graph.m());
    for node in graph.iter() {
        assert_eq!(copy.restore_node(node.name(), &node.encoded(), node.level()), Some(node.id()));
    }
    assert_eq!(copy.restore_node(&name(0), &graph.form().encode(&[1.0; 8]), 0), None);
    for node in graph.iter() {
        for level in 0..=node.level() {
            assert!(node.links(level).iter().all(|&link| copy.restore_link(level, node.id(), link)));
        }
    }
    assert!(!copy.restore_link(0, 1, 1) && !copy.restore_link(0, 1, 9_999) && !copy.restore_link(9, 1, 2));
    copy.check();
    let query = graph.form().encode(&vector(&mut rng, 8));
    assert_eq!(copy.search(&query, 50, None), graph.search(&query, 50, None));
}
