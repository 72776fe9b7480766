//! Tests of the capture list.

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
