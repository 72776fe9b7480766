//! Tests of the capture list.

use sglsim_expr::{Context, Symbol};

use super::*;

#[test]
fn list_is_ascending_and_ends_at_the_maximum() {
    for max_bs in [1, 2, 3, 8, 13, 160, 256, 300, 512, 600] {
        let sizes = cuda_graph_sizes(max_bs);
        assert!(sizes.windows(2).all(|pair| pair[0] < pair[1]), "{sizes:?}");
        assert_eq!(sizes.last(), Some(&max_bs));
    }
    assert!(cuda_graph_sizes(0).is_empty());
}

#[test]
fn default_list_of_an_h100() {
    let sizes = cuda_graph_sizes(512);
    assert_eq!(sizes.len(), 5 + 31 + 15 + 1);
    assert_eq!(&sizes[..7], &[1, 2, 4, 8, 12, 16, 24]);
    assert_eq!(&sizes[35..38], &[256, 272, 288]);
}

#[test]
fn padding_agrees_with_the_list_for_every_batch() {
    let cx = Context::new();
    let symbol = |name| cx.symbol(Symbol::int(name).non_negative()).unwrap();
    let padded = padded_batch(&symbol("seqs"), &symbol("max_bs"));
    let mut law = padded.compile(&["seqs", "max_bs"]).unwrap().evaluator();
    for max_bs in (1..=20).chain([160, 250, 256, 300, 511, 512, 520, 600]) {
        let sizes = cuda_graph_sizes(max_bs);
        for seqs in 0..=max_bs + 40 {
            let expected = match seqs {
                0 => 0,
                _ => sizes.iter().copied().find(|size| *size >= seqs).unwrap_or(seqs),
            };
            let got = law.eval1(&[f64::from(seqs), f64::from(max_bs)]);
            assert_eq!(got, f64::from(expected), "{seqs} of at most {max_bs}");
        }
    }
}
