"""Records what enters each feed-forward network (FFN) of a model that Transformers runs, as the
activation dump that `moefy route-train` and `moefy split` read (docs/formats.md).

usage: record_hf.py MODEL --text FILE --out DUMP (--ffn PATTERN ... | --inspected FILE)

A model that moefy runs is recorded faster by `moefy record`; this is for all others. PATTERN is
what `moefy split --ffn` takes ('layers.{}.fc1.weight:layers.{}.fc2.weight'), of which the first
name counts; --inspected is the output of `moefy inspect MODEL --json`. FILE has a text a line;
--target has the decoder's, if there is one, or it sees its first token only.

Needs torch, transformers and safetensors.
"""

import argparse
import json
import pathlib
import re
import sys

import torch
import transformers
from safetensors.torch import save_file

SHARD_BYTES = 64 << 20  # of one file, as moefy writes them


def fail(*what):
    sys.exit("record_hf.py: " + " ".join(map(str, what)))


def without_weight(name):
    return name.removesuffix(".weight")


def matching(pattern, modules):
    """The names of modules that a pattern stands for, in the order of their numbers."""
    wanted = without_weight(pattern.split(":")[0])
    expression = re.compile(re.escape(wanted).replace(r"\{\}", r"(\d+)"))
    found = [(tuple(map(int, match.groups())), name) for name in modules
             if (match := expression.fullmatch(name))]
    if not found:
        last = wanted.split(".")[-1]
        near = [name for name in modules if name.split(".")[-1] == last][:3]
        fail(f"--ffn {pattern}: the model has no module {wanted!r}",
             f"(there is {', '.join(near)})" if near else "")
    return [name for _, name in sorted(found)]


def find_ffns(options, model):
    """Names of FFNs and of their W_in's modules, which may lack the tensors' prefix or have one."""
    modules = [name for name, _ in model.named_modules()]
    if not options.inspected:
        names = [name for pattern in options.ffn for name in matching(pattern, modules)]
        return [(f"ffn.{index}", name) for index, name in enumerate(names)]
    ffns = []
    for ffn in json.loads(pathlib.Path(options.inspected).read_text(encoding="utf-8"))["ffns"]:
        name = without_weight(ffn["w_in"])
        fits = [known for known in modules if known == name or known.endswith("." + name)
                or (known and name.endswith("." + known))]
        if not fits:
            fail(f"{options.inspected} names {ffn['w_in']!r}, and the model has no such part")
        ffns.append((ffn["name"], max(fits, key=len)))
    return ffns


class Recorder:
    """Collects the inputs of one module in files of a dump."""

    def __init__(self, index, name, path, model, options):
        self.index, self.name, self.most = index, name, options.max_tokens
        self.of_decoder = "decoder" in path
        self.directory = options.out
        self.rows, self.shards, self.tokens, self.kept_bytes = [], [], 0, 0
        self.hidden, self.masks = None, None
        model.get_submodule(path).register_forward_pre_hook(self.see)

    def see(self, module, inputs):
        x = inputs[0]
        flat = x.reshape(-1, x.shape[-1])
        mask = next((mask for mask in self.masks if mask.numel() == len(flat) and
                     (x.dim() == 2 or mask.shape == x.shape[:-1])), None)
        if mask is None:
            fail(f"{self.name} gets {tuple(x.shape)}, which fits no mask of",
                 [tuple(mask.shape) for mask in self.masks])
        real = flat[mask.reshape(-1).bool()][:self.most - self.tokens].float().cpu()
        if not torch.isfinite(real).all():
            fail(f"what enters {self.name} is not finite")
        self.hidden = x.shape[-1]
        self.tokens += len(real)
        self.rows.append(real)
        self.kept_bytes += real.numel() * 4
        if self.kept_bytes >= SHARD_BYTES:
            self.write()

    def write(self):
        if not sum(map(len, self.rows)):
            return
        file = f"ffn{self.index}-{len(self.shards)}.safetensors"
        save_file({"ffn_input": torch.cat(self.rows).contiguous()}, self.directory / file)
        self.shards.append(file)
        self.rows, self.kept_bytes = [], 0

    def finish(self):
        self.write()
        if not self.tokens:
            fail(f"{self.name} was never run; is it part of what --auto loads?")
        return {"name": self.name, "tokens": self.tokens, "hidden": self.hidden,
                "shards": self.shards}


def batches(options, tokenizer, model):
    """The model's inputs, and the masks that say which of its tokens are real."""
    def lines(file):
        text = pathlib.Path(file).read_text(encoding="utf-8")
        return [line for line in text.splitlines() if line.strip()]

    texts = lines(options.text)
    targets = lines(options.target) if options.target else None
    if targets and len(targets) != len(texts):
        fail(f"{options.text} has {len(texts)} texts, {options.target} {len(targets)}")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    most = min(options.length, tokenizer.model_max_length,
               getattr(model.config, "max_position_embeddings", None) or options.length)
    settings = {"return_tensors": "pt", "padding": True, "truncation": True, "max_length": most}
    for begin in range(0, len(texts), options.batch):
        inputs = dict(tokenizer(texts[begin:begin + options.batch], **settings))
        masks = [inputs["attention_mask"]]
        if model.config.is_encoder_decoder:
            start = torch.full((len(masks[0]), 1), model.config.decoder_start_token_id)
            ids, mask = start, torch.ones_like(start)
            if targets:
                target = tokenizer(text_target=targets[begin:begin + options.batch], **settings)
                # Behind the start token, without the end that is only predicted.
                ids = torch.cat([start, target["input_ids"][:, :-1]], 1)
                mask = torch.cat([mask, target["attention_mask"][:, 1:]], 1)
            inputs |= {"decoder_input_ids": ids, "decoder_attention_mask": mask}
            masks.append(mask)
        yield inputs, masks


def record(options):
    auto = getattr(transformers, options.auto)
    model = auto.from_pretrained(options.model, trust_remote_code=options.trust_remote_code)
    model = model.float().eval().to(options.device)
    tokenizer = transformers.AutoTokenizer.from_pretrained(
        options.model, trust_remote_code=options.trust_remote_code)
    options.out.mkdir(parents=True)
    recorders = [Recorder(index, name, path, model, options)
                 for index, (name, path) in enumerate(find_ffns(options, model))]
    examples = 0
    for inputs, masks in batches(options, tokenizer, model):
        for recorder in recorders:
            # The other mask is for what an encoder-decoder computes of the other side's tokens.
            recorder.masks = masks[::-1] if recorder.of_decoder else masks
        with torch.no_grad():
            model(**{name: tensor.to(options.device) for name, tensor in inputs.items()})
        examples += len(masks[0])
        if all(recorder.tokens >= options.max_tokens for recorder in recorders):
            break
    dump = {"format": 1, "family": model.config.model_type, "model_fingerprint": "",
            "corpus": f"text {pathlib.Path(options.text).name}", "dtype": "F32",
            "ffns": [recorder.finish() for recorder in recorders]}
    (options.out / "dump.json").write_text(json.dumps(dump, indent=2) + "\n", encoding="utf-8")
    tokens = sorted({recorder.tokens for recorder in recorders})
    print(f"{options.out}: {len(recorders)} FFNs, {examples} texts, "
          f"{' to '.join(str(count) for count in tokens[:1] + tokens[1:][-1:])} tokens each")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("model", help="directory or name of the model")
    parser.add_argument("--text", required=True, help="a text a line")
    parser.add_argument("--target", help="of encoder-decoders: the decoder's text, a line each")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="directory to make")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--ffn", action="append", help="FFNs by name, as `moefy split --ffn`")
    which.add_argument("--inspected", help="the output of `moefy inspect MODEL --json`")
    parser.add_argument("--auto", default="AutoModel", help="class to load it by (AutoModel)")
    parser.add_argument("--max-tokens", type=int, default=200000, help="kept per FFN (200000)")
    parser.add_argument("--length", type=int, default=512, help="of a text in tokens (512)")
    parser.add_argument("--batch", type=int, default=16, help="texts run at once (16)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--trust-remote-code", action="store_true")
    options = parser.parse_args()
    if options.out.exists():
        fail(f"{options.out} is there already; name another --out or remove it")
    record(options)


main()
