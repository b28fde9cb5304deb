//! Random projection to fewer components, which keeps distances, about (Johnson and Lindenstrauss, 1984). Knows no graph.
//!
//! The matrix follows from the two numbers of components alone: a replica and a server that reads the append-only file make
//! the same one, so they store the same vectors.

use crate::base::rng::Rng;
use crate::ds::hnsw::Form;

/// A matrix of normally distributed numbers, one row for each component that remains.
#[derive(Clone)]
pub struct Projection {
    input_dim: usize,
    rows: Vec<f32>,
}

impl Projection {
    /// From `input_dim` components to `dim`.
    pub fn new(input_dim: usize, dim: usize) -> Projection {
        let mut rng = Rng::seeded((input_dim as u64) << 32 | dim as u64);
        let mut uniform = || (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let scale = 1.0 / (dim as f64).sqrt();
        let mut rows = Vec::with_capacity(input_dim * dim);
        while rows.len() < input_dim * dim {
            // Box and Muller: two uniform numbers make a normal one.
            let radius = (-2.0 * (1.0 - uniform()).ln()).sqrt();
            rows.push((scale * radius * (std::f64::consts::TAU * uniform()).cos()) as f32);
        }
        Projection { input_dim, rows }
    }

    /// With the rows that a snapshot holds; `None` if they are not as many as they must be.
    pub fn from_rows(input_dim: usize, dim: usize, rows: Vec<f32>) -> Option<Projection> {
        (rows.len() == input_dim * dim && input_dim > 0).then_some(Projection { input_dim, rows })
    }

    /// Components that it wants.
    pub fn input_dim(&self) -> usize {
        self.input_dim
    }

    /// The matrix, row by row.
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// What remains of a vector.
    pub fn apply(&self, form: Form, vector: &[f32]) -> Vec<f32> {
        self.rows.chunks_exact(self.input_dim).map(|row| form.dot(row, vector)).collect()
    }

    /// Heap bytes.
    pub fn alloc_bytes(&self) -> usize {
        self.rows.capacity() * size_of::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::hnsw::Quant;

    #[test]
    fn lengths_and_angles_are_kept_about() {
        let (projection, mut rng) = (Projection::new(400, 200), Rng::seeded(1));
        let form = Form::new(Quant::F32, 200);
        let mut vector = || (0..400).map(|_| rng.below(2_001) as f32 / 1e3 - 1.0).collect::<Vec<f32>>();
        let (a, b) = (vector(), vector());
        let near: Vec<f32> = a.iter().zip(&b).map(|(x, y)| x + 0.3 * y).collect();
        let [a_less, b_less, near_less] = [&a, &b, &near].map(|v| projection.apply(form, v));
        let cosine = |x: &[f32], y: &[f32]| form.dot(x, y) / (form.dot(x, x) * form.dot(y, y)).sqrt();
        assert!((form.dot(&a_less, &a_less) / form.dot(&a, &a) - 1.0).abs() < 0.3);
        assert!((cosine(&a_less, &b_less) - cosine(&a, &b)).abs() < 0.25);
        assert!(cosine(&a_less, &near_less) > 0.9);
        assert_eq!(projection.rows(), Projection::new(400, 200).rows());
        assert!(Projection::from_rows(3, 2, vec![0.0; 5]).is_none());
    }
}
