//! Robust least squares in a box: Levenberg–Marquardt with soft-L1 weights.
//!
//! A crate for it would bring a matrix library for systems of at most a few dozen unknowns, and none
//! of the common ones has bounds. Laws have kinks (maxima, whole tiles), so the objective is not
//! convex: [`crate::fit`] starts from several points, and [`explore`] leaves a minimum for a better one.

/// A least-squares problem.
pub(crate) trait Residuals {
    /// Visits every residual at `at`, with its gradient.
    fn each(&mut self, at: &[f64], visit: &mut dyn FnMut(f64, &[f64]));
}

/// Where a search ended.
#[derive(Clone, Debug)]
pub(crate) struct Solution {
    pub(crate) at: Vec<f64>,
    /// Mean loss.
    pub(crate) cost: f64,
    /// Root of the mean squared gradient of the residuals by each unknown, times the unknown's
    /// value: how much they depend on it.
    pub(crate) influence: Vec<f64>,
}

/// Loss of a residual that is not a number: as bad as being off by e⁵.
const UNDEFINED: f64 = 5.0;

/// Minimises the mean of `ρ(r) = 2·s²·(√(1 + (r/s)²) − 1)` over the box `bounds`: `r²` for small
/// residuals, `2·s·|r|` for large ones.
///
/// # Source
///
/// Marquardt, SIAM J. 11 (1963), with his scaling of the damping by the diagonal, so that units do
/// not matter; weights as in iterated reweighting (Triggs et al., "Bundle Adjustment", 2000, section
/// 4.3). Unknowns at a bound that the step would leave are held there (Bertsekas, SIAM J. Control
/// 20 (1982)).
pub(crate) fn minimise(
    problem: &mut dyn Residuals,
    start: &[f64],
    bounds: &[(f64, f64)],
    scale: f64,
    iterations: usize,
) -> Solution {
    let clamp = |at: &mut Vec<f64>| {
        for (value, (low, high)) in at.iter_mut().zip(bounds) {
            *value = value.clamp(*low, *high);
        }
    };
    let mut at = start.to_vec();
    clamp(&mut at);
    let mut here = Normal::at(problem, &at, scale);
    let mut damping = 1e-3;
    for _ in 0..iterations {
        let mut improved = false;
        while damping < 1e8 {
            let step = here.step(&at, bounds, damping);
            let mut next: Vec<f64> = at.iter().zip(&step).map(|(value, by)| value + by).collect();
            clamp(&mut next);
            if next == at {
                break;
            }
            let there = Normal::at(problem, &next, scale);
            if there.cost < here.cost {
                improved = here.cost - there.cost > 1e-7 * here.cost;
                (at, here) = (next, there);
                damping = f64::max(damping * 0.3, 1e-9);
                break;
            }
            damping *= 4.0;
        }
        if !improved {
            break;
        }
    }
    let influence = (0..at.len()).map(|i| (here.matrix[i][i]).sqrt() * at[i].abs()).collect();
    Solution { at, cost: here.cost, influence }
}

/// Factors by which [`explore`] moves one unknown.
const MOVES: [f64; 4] = [0.5, 0.8, 1.25, 2.0];
/// Iterations that follow a move, in which the other unknowns get used to it.
const AFTER_A_MOVE: usize = 4;
/// Gain of the loss, as a share, that is worth a move.
pub(crate) const WORTH_IT: f64 = 1e-4;

/// As [`minimise`], and from there on: moves one unknown at a time by a factor and minimises a little, as
/// long as that finds something better, at most `rounds` times for each unknown.
///
/// An unknown may have no gradient where the search stands (a size in a comparison, the loser of a
/// minimum) and much influence a step away.
pub(crate) fn explore(
    problem: &mut dyn Residuals,
    start: &[f64],
    bounds: &[(f64, f64)],
    scale: f64,
    rounds: usize,
) -> Solution {
    let mut best = minimise(problem, start, bounds, scale, 60);
    for _ in 0..rounds {
        let before = best.cost;
        for (which, (low, high)) in bounds.iter().enumerate() {
            for by in MOVES {
                let mut moved = best.at.clone();
                // What has come down to nothing starts from what it was.
                let from = if best.at[which] > 0.0 { best.at[which] } else { start[which] };
                moved[which] = (from * by).clamp(*low, *high);
                let there = mean_loss(problem, &moved, scale);
                if moved[which] == best.at[which] || there == best.cost {
                    continue;
                }
                let found = minimise(problem, &moved, bounds, scale, AFTER_A_MOVE);
                if found.cost < best.cost * (1.0 - WORTH_IT) {
                    best = found;
                }
            }
        }
        if best.cost > before * (1.0 - WORTH_IT) {
            break;
        }
    }
    best
}

/// The mean loss at a point.
pub(crate) fn mean_loss(problem: &mut dyn Residuals, at: &[f64], scale: f64) -> f64 {
    Normal::at(problem, at, scale).cost
}

/// The normal equations at a point, each divided by the number of residuals.
struct Normal {
    matrix: Vec<Vec<f64>>,
    gradient: Vec<f64>,
    cost: f64,
}

impl Normal {
    fn at(problem: &mut dyn Residuals, at: &[f64], scale: f64) -> Self {
        let n = at.len();
        let (mut matrix, mut gradient) = (vec![vec![0.0; n]; n], vec![0.0; n]);
        let (mut cost, mut count) = (0.0, 0.0);
        problem.each(at, &mut |residual, slopes| {
            count += 1.0;
            let bad = !residual.is_finite() || slopes.iter().any(|slope| !slope.is_finite());
            let residual = if bad { UNDEFINED } else { residual };
            let root = (1.0 + (residual / scale).powi(2)).sqrt();
            cost += 2.0 * scale * scale * (root - 1.0);
            if bad {
                return;
            }
            for (i, slope) in slopes.iter().enumerate().filter(|(_, slope)| **slope != 0.0) {
                let weighted = slope / root;
                gradient[i] += weighted * residual;
                for (sum, other) in matrix[i].iter_mut().zip(slopes) {
                    *sum += weighted * other;
                }
            }
        });
        let count = f64::max(count, 1.0);
        gradient.iter_mut().chain(matrix.iter_mut().flatten()).for_each(|sum| *sum /= count);
        Self { matrix, gradient, cost: cost / count }
    }

    /// The damped step; unknowns that stand at a bound and would leave it do not move.
    fn step(&self, at: &[f64], bounds: &[(f64, f64)], damping: f64) -> Vec<f64> {
        let free: Vec<usize> = (0..at.len())
            .filter(|i| {
                let (low, high) = bounds[*i];
                let downhill = -self.gradient[*i];
                self.matrix[*i][*i] > 0.0
                    && !(at[*i] <= low && downhill < 0.0)
                    && !(at[*i] >= high && downhill > 0.0)
            })
            .collect();
        let matrix = free.iter().map(|i| {
            let damped = |j: &usize| self.matrix[*i][*j] * if i == j { 1.0 + damping } else { 1.0 };
            free.iter().map(damped).collect()
        });
        let right = free.iter().map(|i| -self.gradient[*i]).collect();
        let solved = solve(matrix.collect(), right);
        let mut step = vec![0.0; at.len()];
        for (i, by) in free.iter().zip(solved) {
            step[*i] = by;
        }
        step
    }
}

/// Solves a symmetric positive definite system by Cholesky's factors; a pivot that is not positive
/// leaves its unknown at 0.
fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    // Sum of products of two rows of the factor, left of the diagonal of the upper one.
    let dot = |a: &[Vec<f64>], i: usize, j: usize| -> f64 {
        a[i][..j.min(i)].iter().zip(&a[j]).map(|(x, y)| x * y).sum()
    };
    for j in 0..n {
        let pivot = a[j][j] - dot(&a, j, j);
        let alive = pivot > 1e-14 * a[j][j] && pivot.is_finite();
        a[j][j] = if alive { pivot.sqrt() } else { f64::INFINITY };
        for i in j + 1..n {
            a[i][j] = (a[i][j] - dot(&a, i, j)) / a[j][j];
        }
    }
    for i in 0..n {
        let known: f64 = a[i][..i].iter().zip(&b).map(|(x, y)| x * y).sum();
        b[i] = (b[i] - known) / a[i][i];
    }
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|k| a[k][i] * b[k]).sum();
        b[i] = (b[i] - known) / a[i][i];
    }
    b
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `ln(a·x + max(b, c·x²)) − ln y`, with a tenth of the points far off.
    struct Curve(Vec<(f64, f64)>);

    fn curve([a, b, c]: [f64; 3], x: f64) -> f64 {
        a * x + b.max(c * x * x)
    }

    impl Residuals for Curve {
        fn each(&mut self, at: &[f64], visit: &mut dyn FnMut(f64, &[f64])) {
            for (x, y) in &self.0 {
                let value = curve([at[0], at[1], at[2]], *x);
                let flat = at[1] >= at[2] * x * x;
                let slopes = [x / value, f64::from(flat) / value, f64::from(!flat) * x * x / value];
                visit((value / y).ln(), &slopes);
            }
        }
    }

    proptest! {
        #[test]
        fn finds_the_truth_in_spite_of_outliers(
            // Within a factor of two of the start, so that every unknown is seen and no kink traps
            // the search; `fit` has several starts for the rest.
            a in 0.5..2.0f64, b in 0.5..2.0f64, c in 0.5..2.0f64,
        ) {
            let point = |i: u32| {
                let x = 0.05 * f64::from(i + 1);
                let wrong = if i % 10 == 3 { 3.0 } else { 1.0 };
                (x, wrong * curve([a, b, c], x))
            };
            let mut problem = Curve((0..100).map(point).collect());
            let bounds = [(0.0, 100.0); 3];
            let found = minimise(&mut problem, &[1.0, 1.0, 1.0], &bounds, 0.02, 200);
            for (found, truth) in found.at.iter().zip([a, b, c]) {
                prop_assert!((found / truth - 1.0).abs() < 0.02, "{found} for {truth}");
            }
        }

        #[test]
        fn never_leaves_the_box(low in 0.5..2.0f64, width in 0.0..1.0f64) {
            let points = (1..50).map(|i| (f64::from(i) * 0.1, curve([5.0, 5.0, 5.0], f64::from(i) * 0.1)));
            let mut problem = Curve(points.collect());
            let bounds = [(low, low + width); 3];
            let found = minimise(&mut problem, &[1.0, 1.0, 1.0], &bounds, 0.05, 50);
            prop_assert!(found.at.iter().all(|value| (low..=low + width).contains(value)));
        }
    }

    /// `b` where `x ≤ a`, else `c`: `a` has no gradient anywhere.
    struct Step(Vec<(f64, f64)>);

    impl Residuals for Step {
        fn each(&mut self, at: &[f64], visit: &mut dyn FnMut(f64, &[f64])) {
            for (x, y) in &self.0 {
                let low = *x <= at[0];
                let value = if low { at[1] } else { at[2] };
                visit((value / y).ln(), &[0.0, f64::from(low) / value, f64::from(!low) / value]);
            }
        }
    }

    #[test]
    fn a_place_without_a_gradient_is_found() {
        let points = (0..100).map(|x| (f64::from(x), if x <= 40 { 2.0 } else { 3.0 }));
        let mut problem = Step(points.collect());
        let (start, bounds) = ([10.0, 1.0, 1.0], [(1.0, 100.0); 3]);
        let stuck = minimise(&mut problem, &start, &bounds, 0.05, 60);
        let found = explore(&mut problem, &start, &bounds, 0.05, 3);
        assert_eq!(stuck.at[0], 10.0);
        for (found, truth) in found.at.iter().zip([40.0, 2.0, 3.0]) {
            assert!((found / truth - 1.0).abs() < 0.05, "{found} for {truth}");
        }
    }

    #[test]
    fn an_unknown_without_influence_does_not_move() {
        let mut problem = Curve(vec![(1.0, 3.0), (2.0, 5.0)]);
        // The square is always far below the flat part.
        let found = minimise(&mut problem, &[1.0, 1.0, 1e-9], &[(0.0, 100.0); 3], 0.05, 50);
        assert_eq!(found.at[2], 1e-9);
        assert_eq!(found.influence[2], 0.0);
    }
}
