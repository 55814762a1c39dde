"""Write a checkpoint as the shipped model: python export.py --run DIR --out deploy/models/padawan

4-bit affine groups of 64 in the form mlx_lm.convert gives (names, conv1d [C, K, 1], shifted norms).
"""

import argparse
import json
import shutil
from pathlib import Path

import ml_dtypes
import numpy as np

import checkpoint
import quantise
import safetensors_file
from shape import QUANT_BITS, QUANT_GROUP, SHAPE, Shape

PREFIX = 'language_model.model.'
TOOLS = Path(__file__).parent


def tensors_of(params: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    out = {}
    for name, value in params.items():
        full = PREFIX + name
        if quantise.is_quantised(name, value):
            stem = full.removesuffix('.weight')
            packed, scales, biases = quantise.quantise(value)
            out |= {stem + '.weight': packed, stem + '.scales': scales, stem + '.biases': biases}
        elif name.endswith('A_log'):
            out[full] = value.astype(np.float32)
        else:
            out[full] = value.astype(ml_dtypes.bfloat16)
    return out


def params_of(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The other way: the shipped bits as the f32 parameters they stand for."""
    out = {}
    for full, value in tensors.items():
        name = full.removeprefix(PREFIX)
        if name.endswith(('.scales', '.biases')):
            continue
        if value.dtype == np.uint32:
            stem = full.removesuffix('.weight')
            value = quantise.dequantise(value, tensors[stem + '.scales'], tensors[stem + '.biases'])
        out[name] = value.astype(np.float32)
    return out


def config_of(shape: Shape, ids) -> dict:
    quantization = {'group_size': QUANT_GROUP, 'bits': QUANT_BITS, 'mode': 'affine'}
    half = shape.rotary_dim // 2
    text = {
        'model_type': 'qwen3_5_text', 'vocab_size': shape.vocab, 'hidden_size': shape.hidden,
        'intermediate_size': shape.ffn, 'num_hidden_layers': shape.layers,
        'num_attention_heads': shape.heads, 'num_key_value_heads': shape.kv_heads,
        'head_dim': shape.head_dim, 'hidden_act': 'silu', 'rms_norm_eps': shape.eps,
        'max_position_embeddings': shape.context, 'attention_bias': False,
        'attention_dropout': 0.0, 'attn_output_gate': True, 'tie_word_embeddings': True,
        'full_attention_interval': shape.full_attention_interval,
        'layer_types': ['full_attention' if shape.is_full_attention(layer) else 'linear_attention'
                        for layer in range(shape.layers)],
        'linear_conv_kernel_dim': shape.conv_kernel,
        'linear_key_head_dim': shape.linear_head_dim,
        'linear_value_head_dim': shape.linear_head_dim,
        'linear_num_key_heads': shape.linear_key_heads,
        'linear_num_value_heads': shape.linear_value_heads,
        'mamba_ssm_dtype': 'float32', 'dtype': 'bfloat16', 'use_cache': True,
        'rope_parameters': {
            'rope_type': 'default', 'rope_theta': shape.rope_theta,
            'partial_rotary_factor': shape.rotary_dim / shape.head_dim,
            'mrope_interleaved': True,
            'mrope_section': [half - 2 * (half // 3), half // 3, half // 3],
        },
        'eos_token_id': ids('<|im_end|>'), 'pad_token_id': ids('<|endoftext|>'),
    }
    return {
        'architectures': ['Qwen3_5ForConditionalGeneration'], 'model_type': 'qwen3_5',
        'text_config': text, 'tie_word_embeddings': True, 'dtype': 'bfloat16',
        'eos_token_id': ids('<|im_end|>'), 'quantization': quantization,
        'quantization_config': quantization,
    }


def tokenizer_config(tokenizer_json: dict) -> dict:
    added = {str(entry['id']): {key: entry[key] for key in (
        'content', 'lstrip', 'normalized', 'rstrip', 'single_word', 'special')}
        for entry in tokenizer_json['added_tokens']}
    return {
        'add_bos_token': False, 'add_prefix_space': False, 'added_tokens_decoder': added,
        'additional_special_tokens': ['<|im_start|>', '<|im_end|>'], 'bos_token': None,
        'chat_template': (TOOLS / 'chat_template.jinja').read_text(encoding='utf-8'),
        'clean_up_tokenization_spaces': False, 'eos_token': '<|im_end|>', 'errors': 'replace',
        'model_max_length': SHAPE.context, 'pad_token': '<|endoftext|>',
        'split_special_tokens': False,
        'tokenizer_class': 'Qwen2Tokenizer', 'unk_token': None,
    }


def write_json(path: Path, value) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + '\n', encoding='utf-8')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--run', type=Path, required=True)
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--averaged', action='store_true',
                        help='the running average of the weights: better before the decay ends')
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tokenizer_json = json.loads((options.run / 'tokenizer.json').read_text(encoding='utf-8'))
    ids = {entry['content']: entry['id'] for entry in tokenizer_json['added_tokens']}
    tensors = tensors_of(checkpoint.weights(options.run, options.averaged))
    safetensors_file.write(options.out / 'model.safetensors', tensors)
    shutil.copyfile(options.run / 'tokenizer.json', options.out / 'tokenizer.json')
    write_json(options.out / 'config.json', config_of(SHAPE, ids.__getitem__))
    write_json(options.out / 'tokenizer_config.json', tokenizer_config(tokenizer_json))
    write_json(options.out / 'generation_config.json', {
        'bos_token_id': None, 'do_sample': False, 'temperature': 0.0,
        'eos_token_id': [ids['<|im_end|>'], ids['<|endoftext|>']],
        'pad_token_id': ids['<|endoftext|>']})


if __name__ == '__main__':
    main()
