//! The known formats read a row as the call that it is.

use sglsim_calibrate::{Rows, score};

use crate::files::{Folder, h100};

/// Operator, number format, call and time \[s\] of every row.
fn calls(name: &str, text: &str) -> Vec<(String, String, String, f64)> {
    let folder = Folder::new();
    let mut data = sglsim_calibrate::Dataset::new();
    data.add(folder.write(name, text)).unwrap();
    let (topology, theta) = h100();
    let score = score(&data, &topology, &theta, Rows::All).unwrap();
    let tables = score.tables.iter();
    tables
        .flat_map(|table| {
            let of = |point: &sglsim_calibrate::Point| {
                (table.op.clone(), table.dtype.clone(), point.call.clone(), point.measured)
            };
            table.points.iter().map(of).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn aiconfigurator_gemm_zipped() {
    let text = "version,op_name,kernel_source,gemm_dtype,m,n,k,latency\n\
                0.5.14,gemm,x,bfloat16,224,1536,2048,0.01\n";
    let [(op, dtype, call, seconds)] = &calls("gemm_perf__x.csv.gz", text)[..] else {
        panic!("one row is one call");
    };
    assert_eq!((op.as_str(), dtype.as_str()), ("gemm", "bf16"));
    assert_eq!(call, "m=224 n=1536 k=2048");
    assert!((seconds - 1e-5).abs() < 1e-18);
}

#[test]
fn aiconfigurator_decode_attention_counts_the_new_token() {
    let text = "kernel_source,batch_size,isl,num_heads,num_key_value_heads,head_dim,attn_dtype,\
                kv_cache_dtype,step,window_size,latency\n\
                fa3,32,1,16,8,128,bfloat16,fp8,1023,0,0.02\n";
    let [(op, dtype, call, _)] = &calls("generation_attention_perf.csv", text)[..] else {
        panic!("one row is one call");
    };
    assert_eq!((op.as_str(), dtype.as_str()), ("decode_attention", "bf16/fp8"));
    assert_eq!(call, "batch=32 context=1024 heads=16 kv_heads=8 head_dim=128 window=0");
}

#[test]
fn a_vidur_row_is_several_calls() {
    let operators = [
        "attn_pre_proj",
        "attn_post_proj",
        "mlp_up_proj",
        "mlp_down_proj",
        "input_layernorm",
        "add",
        "mlp_act",
        "attn_rope",
    ];
    let header: Vec<String> =
        operators.iter().map(|operator| format!("time_stats.{operator}.median")).collect();
    let text = format!(
        "{},n_head,n_kv_head,n_embd,n_expanded_embd,vocab_size,use_gated_mlp,num_tokens,\
         num_tensor_parallel_workers\n{}64,8,8192,28672,32000,True,128,4\n",
        header.join(","),
        "0.5,".repeat(operators.len()),
    );
    let calls = calls("mlp.csv", &text);
    let gemms: Vec<&str> =
        calls.iter().filter(|(op, ..)| op == "gemm").map(|(.., call, _)| call.as_str()).collect();
    assert_eq!(
        gemms,
        [
            "m=128 n=2560 k=8192",
            "m=128 n=8192 k=2048",
            "m=128 n=14336 k=8192",
            "m=128 n=8192 k=7168",
        ]
    );
    // All but the sum of the residual.
    assert_eq!(calls.len(), operators.len() - 1);
    assert!(calls.iter().all(|(.., seconds)| *seconds == 0.5e-3));
}
