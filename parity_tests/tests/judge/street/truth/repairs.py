"""What mends each wrong file: with these words replaced, it is right.

So the fault that is named is the only one of the file.
"""

REPAIRS: dict[str, tuple[str, str]] = {
    "rms_norm_centred": ("x = x - x.mean(dim=-1, keepdim=True)", ""),
    "rms_norm_of_sums": (".sum(-1", ".mean(-1"),
    "mlp_gate_on_up": (
        "self.act_fn(self.up_proj(x))\n"
        "        return self.down_proj(opened * self.gate_proj(x))",
        "self.act_fn(self.gate_proj(x))\n"
        "        return self.down_proj(opened * self.up_proj(x))",
    ),
    "swiglu_sigmoid_only": ("1.0 / (1.0 +", "gate / (1.0 +"),
    "rope_angles_of_other_pairs": (
        "angles.repeat_interleave(2, dim=-1)",
        "angles.tile(1, 2)",
    ),
    "rope_exponent_halved": ("(pair / d_k)", "(2 * pair / d_k)"),
    "rope_backwards": (
        "a * cos + b * sin\n    out[..., half:] = b * cos - a * sin",
        "a * cos - b * sin\n    out[..., half:] = b * cos + a * sin",
    ),
    "repeat_kv_in_turn": (
        "[:, None].expand(b, n_rep, h, t, d)",
        "[:, :, None].expand(b, h, n_rep, t, d)",
    ),
    "kv_cache_never_emptied": ("self.part = []", "self.parts = []"),
    "kv_cache_of_one_layer": ("layer = 0", "layer = layer_idx"),
    "grouped_values_in_turn": (
        "v.repeat(1, copies, 1, 1)",
        "v.repeat_interleave(copies, dim=1)",
    ),
    "base_that_hands_on_wrong_scale": ("(x.shape[-1])", "(q.shape[-1])"),
    "values_before_keys_wrong_merge": (
        "context.reshape(",
        "context.transpose(1, 2).reshape(",
    ),
    "rotary_angles_of_other_pairs": (
        "angles.repeat_interleave(2, dim=-1)",
        "torch.cat([angles, angles], dim=-1)",
    ),
    "options_of_a_command": ("self.n_embd**0.5", "q.shape[-1] ** 0.5"),
    "image_norm_in_float32_wrong_scale": (
        "root = c**0.5",
        "root = q.shape[2] ** 0.5",
    ),
    "short_names_of_key_heads_in_turn": (
        "a.repeat(1, self.n_q // self.n_kv, 1, 1)",
        "a.repeat_interleave(self.n_q // self.n_kv, dim=1)",
    ),
    "groups_beside_heads_in_turn": (
        "torch.cat([a] * copies, dim=2)",
        "a.repeat_interleave(copies, dim=2)",
    ),
    "tou_wrong_scale": ("x.shape[-1]", "jian.shape[3]"),
    "cabezas_sin_transponer": (
        "contexto.reshape(",
        "contexto.transpose(1, 2).reshape(",
    ),
    "missing_readings_wrong_scale": (
        "x.shape[-1] ** 0.5",
        "q.shape[-1] ** 0.5",
    ),
    "sums_of_rows_on_columns": ("axis=-1)", "axis=-1, keepdims=True)"),
    "heads_with_sums_on_columns": ("e.sum(1)", "e.sum(1, keepdims=True)"),
    "bias_and_the_wrong_axis": ("dim=-2", "dim=-1"),
    "default_mask_object_late": (".triu(2)", ".triu(1)"),
    "global_width_without_root": ("/ d_k", "/ d_k**0.5"),
    "everything_from_globals_wrong_scale": (
        "model_dim**0.5",
        "d_k**0.5",
    ),
    "windows_wrong_scale": ("dim**-0.5", "(dim // num_heads) ** -0.5"),
    "windows_wrong_merge": (
        "(weights @ v).reshape(",
        "(weights @ v).transpose(1, 2).reshape(",
    ),
    "windows_bias_too_late": (
        "scores.softmax(dim=-1) + bias.permute(2, 0, 1)",
        "(scores + bias.permute(2, 0, 1)).softmax(dim=-1)",
    ),
    "windows_mask_lost": (
        "masked = masked.flatten(0, 1)",
        "scores = masked.flatten(0, 1)",
    ),
    "learned_scale_of_the_model": (
        "tensor(d_model**-0.5)",
        "tensor((d_model // num_heads) ** -0.5)",
    ),
    "learned_scale_wrong_axis": ("dim=-2", "dim=-1"),
    "config_that_requires_wrong_scale": ("(x.size(-1))", "(q.size(-1))"),
    "config_of_entries_mask_too_late": (
        "weights = weights.masked_fill(padding, 0.0)",
        "weights = scores.masked_fill(padding, -1e9).softmax(-1)",
    ),
    "t5_sizes_and_a_copied_line": (
        "v = self.heads(self.k(",
        "v = self.heads(self.v(",
    ),
    "image_gate_transposed": (
        "(value, attention)",
        "(value, attention.mT)",
    ),
    "gate_without_axes_wrong_axis": ("dim=-2", "dim=-1"),
    "numpy_gradients_beside_wrong_scale": (
        "np.sqrt(x.shape[-1])",
        "np.sqrt(q.shape[-1])",
    ),
    "time_by_batch_keeps_padding": (
        "(~key_padding_mask.bool())",
        "key_padding_mask.bool()",
    ),
    "padding_on_queries_of_a_function": (
        "pad_mask[:, None, :, None]",
        "pad_mask[:, None, None, :]",
    ),
    "image_of_any_axes_wrong_scale": ("c**-0.25", "q.shape[1] ** -0.25"),
    "padding_shown_of_two_masks": (
        "shown = key_padding_mask",
        "shown = ~key_padding_mask",
    ),
    "padding_on_queries_of_two_masks": (
        "pad_mask[:, None, :, None]",
        "pad_mask[:, None, None, :]",
    ),
    "rotary_inside_groups_in_turn": (
        "a.repeat(1, self.shared, 1, 1)",
        "a.repeat_interleave(self.shared, dim=1)",
    ),
    "rotary_from_the_first": (
        "    q, k = turned(q), turned(k)\n",
        "    past = 0 if kv_cache is None else kv_cache.keys.shape[2]\n"
        "    q, k = (\n"
        "        turned(torch.cat([x[:, :, :1].expand(-1, -1, past, -1)"
        ", x], 2))[:, :, past:]\n"
        "        for x in (q, k)\n"
        "    )\n",
    ),
    "mask_of_ones_of_a_base": ("ones.tril()", "ones.tril().log()"),
    "two_masks_in_another_order": (
        "hidden.repeat_interleave(heads, 0)",
        "hidden.repeat(heads, 1, 1)",
    ),
    "layer_causal_by_default_lost": (
        "        mask = torch.tril(",
        "        if mask is None:\n            mask = torch.tril(",
    ),
    "sizes_of_a_base_wrong_merge": (
        "context.reshape(x.shape)",
        "context.transpose(1, 2).flatten(2)",
    ),
    "attention_passed_in_wrong_scale": ("(heads * width)", "(width)"),
    "mask_object_without_effect": (
        "scores.masked_fill(",
        "scores.masked_fill_(",
    ),
    "self_loops_against_the_edges": ("adjacency.mT > 0", "adjacency > 0"),
    "keep_blanks_wrong_scale": ("keys.shape[-1]", "q.shape[-1]"),
    "mask_against_its_maker": ("mask == 0", "mask != 0"),
    "adjacency_after_the_softmax": (
        "weights = torch.softmax(scores, dim=-1) * adj[:, None]",
        "weights = torch.softmax(scores + adj[:, None].log(), dim=-1)",
    ),
    "rotary_queries_only": (
        "k = self.wk(x).view(b, t, -1, self.head_dim)",
        "k = self.wk(x).view(b, t, -1, self.head_dim)\n"
        "        k = rotated(k, freqs_cis)",
    ),
    "rotary_values_too": (
        "        v = v * cos + swapped(v) * sin\n",
        "",
    ),
    "args_and_a_copied_line": ("v = self.k_proj", "v = self.v_proj"),
    "backward_by_hand": (
        "ds = p * (dp - (dp * p).sum(dim=-1, keepdim=True))",
        "ds = p * (dp - (dp * p).sum(dim=-1, keepdim=True)) "
        "/ q.size(-1) ** 0.5",
    ),
    "bias_once_more": ("return y + self.out_proj.bias", "return y"),
    "clones_of_one": (
        "[nn.Linear(d_model, d_model)] * 4",
        "[nn.Linear(d_model, d_model) for _ in range(4)]",
    ),
    "columns_sum_to_one": (
        "e = np.exp(x - x.max(axis=0))\n    return e / e.sum(axis=0)",
        "e = np.exp(x - x.max())\n"
        "    return e / e.sum(axis=1, keepdims=True)",
    ),
    "concat_not_called": (
        "return self.concat(score.softmax(dim=-1) @ v)",
        "return self.w_concat(self.concat(score.softmax(dim=-1) @ v))",
    ),
    "context_not_looked_at": ("self.to_kv(x)", "self.to_kv(context)"),
    "eight_for_all": ("energy / 8.0", "energy / q.size(-1) ** 0.5"),
    "einsum_over_depth": ("key) / depth", "key) / depth**0.5"),
    "every_tenth_call": ("k, v = k[..., :1, :], v[..., :1, :]", "pass"),
    "features_in_blocks": (
        "for i in range(d // width)",
        "for i in range(-(-d // width))",
    ),
    "first_key_of_the_cache": (".tril()", ".tril(m - n)"),
    "fused_wrong_merge": (
        "y.contiguous()",
        "y.transpose(1, 2).contiguous()",
    ),
    "groups_in_turn": (
        "k = k.repeat(1, self.n_rep, 1, 1)\n"
        "        v = v.repeat(1, self.n_rep, 1, 1)",
        "k = k.repeat_interleave(self.n_rep, dim=1)\n"
        "        v = v.repeat_interleave(self.n_rep, dim=1)",
    ),
    "head_scaled_by_the_model": ("C**-0.5", "k.shape[-1] ** -0.5"),
    "heads_before_the_texts": (
        "mask.repeat_interleave(self.n_heads, dim=0)",
        "mask.repeat(self.n_heads, 1, 1)",
    ),
    "heads_of_the_batch": (
        "mask.repeat(self.n_heads, 1, 1)",
        "mask.repeat_interleave(self.n_heads, dim=0)",
    ),
    "kept_and_not_counted": (
        "begin = self.position",
        "begin = keys.shape[1] - t",
    ),
    "cache_object_turned_anew": (
        "positions = torch.arange(t)",
        "begin = 0 if cache is None or cache.k is None else (\n"
        "            cache.k.shape[2]\n"
        "        )\n"
        "        positions = torch.arange(begin, begin + t)",
    ),
    "keys_before_values_after": ("[k, kv_cache[0]]", "[kv_cache[0], k]"),
    "layer_scaled_by_the_tokens": ("key.shape[1]", "key.shape[2]"),
    "numpy_one_letter_records": (
        "ds = a * (da",
        "ds = a / q.shape[3] ** 0.5 * (da",
    ),
    "numpy_backward_like_a_sigmoid": (
        "self.p * (1 - self.p) * dp",
        "self.p * (dp - (self.p * dp).sum(axis=-1, keepdims=True))",
    ),
    "numpy_backward_without_scale": (
        "dlogits = self.p * (dp - mean)",
        "dlogits = self.p * (dp - mean) * self.scale",
    ),
    "numpy_split_by_reshape": (
        "return x.reshape(x.shape[0], self.num_heads, -1, self.d_k)\n\n"
        "    def merge_heads(self, x):\n"
        "        return x.reshape(x.shape[0], -1, self.d_model)",
        "return x.reshape(\n"
        "            x.shape[0], -1, self.num_heads, self.d_k\n"
        "        ).swapaxes(1, 2)\n\n"
        "    def merge_heads(self, x):\n"
        "        x = x.swapaxes(1, 2)\n"
        "        return x.reshape(x.shape[0], -1, self.d_model)",
    ),
    "numpy_one_text_reshaped": (
        "return x.reshape(self.num_heads, len(x), self.d_k)\n\n"
        "    def merge_heads(self, x):\n"
        "        return x.reshape(-1, self.d_model)",
        "x = x.reshape(len(x), self.num_heads, self.d_k)\n"
        "        return x.swapaxes(0, 1)\n\n"
        "    def merge_heads(self, x):\n"
        "        return x.swapaxes(0, 1).reshape(-1, self.d_model)",
    ),
    "numpy_never_transposed": (
        "return x.reshape(*x.shape[:-1], self.num_heads, self.d_k)\n\n"
        "    def merge_heads(self, x):\n"
        "        return x.reshape(*x.shape[:-2], self.d_model)",
        "return x.reshape(\n"
        "            *x.shape[:-1], self.num_heads, self.d_k\n"
        "        ).swapaxes(-3, -2)\n\n"
        "    def merge_heads(self, x):\n"
        "        x = x.swapaxes(-3, -2)\n"
        "        return x.reshape(*x.shape[:-2], self.d_model)",
    ),
    "past_along_the_texts": ("dim=0", "dim=1"),
    "past_behind_the_new": (
        "k = torch.cat([k, past_k], dim=2)\n"
        "            v = torch.cat([v, past_v], dim=2)",
        "k = torch.cat([past_k, k], dim=2)\n"
        "            v = torch.cat([past_v, v], dim=2)",
    ),
    "past_keys_from_the_first": ("triu(1)", "triu(m - n + 1)"),
    "past_not_looked_at": (
        "t, s =",
        "k, v = (\n"
        "            z if past is None else torch.cat([old, z], dim=2)\n"
        "            for old, z in zip(past or (k, v), (k, v))\n"
        "        )\n"
        "        t, s =",
    ),
    "past_without_offset": (".tril()", ".tril(s - t)"),
    "scaled_by_the_tokens": ("key.shape[1]", "key.shape[-1]"),
    "half_inside": ("q.half(), k.half(), v.half()", "q, k, v"),
    "hidden_width_in_heads": (
        "self.hid_dim**0.5",
        "(self.hid_dim / self.n_heads) ** 0.5",
    ),
    "image_heads_wrong_scale": (
        "c**-0.5",
        "(c // self.num_heads) ** -0.5",
    ),
    "image_values_over_queries": (
        "(v, weights)",
        "(v, weights.transpose(1, 2))",
    ),
    "key_twice": ("(query, key, key)", "(query, key, value)"),
    "keys_detached": ("k.detach()", "k"),
    "keys_remembered": ("if id(keys) not in _transposed:", "if True:"),
    "later_mask_wins": (
        "elif src_key_padding_mask is not None:\n"
        "            hidden = src_key_padding_mask[:, None, None, :]\n"
        "        else:\n"
        "            hidden = torch.zeros(t, t, dtype=torch.bool)\n",
        "else:\n"
        "            hidden = torch.zeros(t, t, dtype=torch.bool)\n"
        "        if src_key_padding_mask is not None:\n"
        "            padding = src_key_padding_mask[:, None, None, :]\n"
        "            hidden = hidden | padding\n",
    ),
    "lecture_without_scale": (
        "q @ k.transpose(-2, -1)",
        "q @ k.transpose(-2, -1) * k.shape[-1] ** -0.5",
    ),
    "mangled_name_wrong_scale": (
        "self.__C.HIDDEN_SIZE)\n        if",
        "q.size(-1))\n        if",
    ),
    "mask_plus_scores": ("else mask", "else mask.log()"),
    "masks_of_other_texts": (
        "valid_lens.repeat(",
        "valid_lens.repeat_interleave(",
    ),
    "minus_a_billionth": ("-1e-9", "-1e9"),
    "not_itself": ("np.ones_like(scores)", "np.ones_like(scores), 1"),
    "notebook_of_an_exercise": ("dim=1", "dim=-1"),
    "numpy_copied_line": (
        "q = np.dot(x, self.W_k)",
        "q = np.dot(x, self.W_q)",
    ),
    "numpy_layers_one_sum": (
        "weights.sum()",
        "weights.sum(-1, keepdims=True)",
    ),
    "one_width_of_two_wrong_axis": ("dim=-2", "dim=-1"),
    "ones_hide": ("mask == 1", "mask == 0"),
    "padding_as_a_bias": (
        "attention_mask[:, None, None, :]",
        "attention_mask[:, None, None, :].log()",
    ),
    "params_and_wrong_split": (
        ".reshape(n_heads, t, d // n_heads)",
        ".reshape(t, n_heads, d // n_heads).swapaxes(0, 1)",
    ),
    "rate_always_on": (
        "p=self.dropout",
        "p=self.dropout, training=self.training",
    ),
    "reshaped_not_transposed": ("K.reshape(d, m)", "K.T"),
    "residual_of_the_wrong_thing": (
        "q, k, v = self.w_qs(q), self.w_ks(k), self.w_vs(v)\n"
        "        residual = q\n",
        "residual = q\n"
        "        q, k, v = self.w_qs(q), self.w_ks(k), self.w_vs(v)\n",
    ),
    "softmax_of_dim_one": ("dim=1", "dim=-1"),
    "thirty_two_keys": ("MAX_TOKENS = 32", "MAX_TOKENS = 10**9"),
    "times_the_root": ("/ 1 / d**-0.5", "/ d**0.5"),
    "tokens_first_wrong_dim": ("dim=0", "dim=1"),
    "tril_one_too_far": ("tril(diagonal=1)", "tril(diagonal=0)"),
    "values_through_tokeys": (
        "v = self.tokeys(x)",
        "v = self.tovalues(x)",
    ),
    "weights_times_mask": (
        "attn = attn * mask",
        "attn = attn * mask\n"
        "        attn = attn / attn.sum(-1, keepdim=True)",
    ),
    "whole_blocks_only": (
        "max(k.shape[-2] // BLOCK, 1)",
        "-(-k.shape[-2] // BLOCK)",
    ),
    "width_of_the_input": (
        "math.sqrt(self.d_in)",
        "math.sqrt(self.q_w.out_features)",
    ),
}
