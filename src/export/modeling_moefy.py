"""Runs a model that moefy split in Transformers, with the experts that `moefy run` chooses.

`moefy export MOE --format transformers` puts this file beside the model, where Transformers finds
it: AutoModel.from_pretrained(DIRECTORY, trust_remote_code=True), or the Auto class of its head. The
model is Transformers' own class with three hooks on each feed-forward network (FFN): its input
chooses experts, the neurons of the others are put to zero, and what stands in for those is added.
All neurons are computed, so this says what a split model answers, and is no faster than dense.

config.json lists the FFNs under "moefy_experts", and modeling_moefy.safetensors has their tensors.
"""

import os
import shutil

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.nn.functional import linear, normalize, threshold
from transformers.utils import cached_file

TENSORS = "modeling_moefy.safetensors"
HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "revision", "subfolder", "token")

ACTIVATIONS = {
    "relu": torch.relu,
    "relu2": lambda x: torch.relu(x).square(),
    "relu6": lambda x: x.clamp(0, 6),
    "leaky_relu": lambda x: torch.nn.functional.leaky_relu(x, 0.01),
    "gelu": torch.nn.functional.gelu,
    "gelu_10": lambda x: torch.nn.functional.gelu(x).clamp(-10, 10),
    "gelu_tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "silu": torch.nn.functional.silu,
    "mish": torch.nn.functional.mish,
}


def activate(name, x):
    """The activation that moefy calls `name`; "fatrelu(0.01)" has its threshold with it."""
    if name.startswith("fatrelu("):
        return threshold(x, float(name[len("fatrelu("):-1]), 0.0)
    return ACTIVATIONS[name](x)


def combine(name, products):
    """What enters W_out, from [1 or 2 matrices, tokens, neurons]: of two, the gate is the first."""
    both = name.endswith("_both")
    name = name.removesuffix("_both")
    first = activate(name, products[0])
    if len(products) == 1:
        return first
    return first * (activate(name, products[1]) if both else products[1])


# The routers: the FFN's input x [tokens, hidden] -> scores [tokens, experts]. `t` has the tensors
# that docs/formats.md of moefy describes.


def affine(ffn, t, x):
    return linear(x, t["w"], t["b"])


def mlp(ffn, t, x):
    return linear(torch.tanh(linear(normalize(x), t["w1"])), t["w2"])


def low_rank(ffn, t, x):
    return linear(linear(x, t["down"]), t["up"], t["b"])


def regression(ffn, t, x):
    return linear(torch.relu(linear(x, t["w1"], t["b1"])), t["w2"], t["b2"])


def similarity(ffn, t, x):
    return linear(normalize(x), normalize(t["centers"]))


def representative(ffn, t, x):
    return combine(ffn.activation, x @ t["w"].mT + t["bias"].unsqueeze(1)).abs()


def sketch(ffn, t, x):
    products = linear(x, t["down"]) @ t["up"].flatten(1, 2).mT + t["bias"].flatten(1).unsqueeze(1)
    neurons = combine(ffn.activation, products).abs().unflatten(1, t["length"].shape)
    return (neurons * t["length"]).sum(2)


def first_product(ffn, t, x):
    second = len(t["worth"]) == 2 and bool(t["worth"][1].any())  # else the gate, where there is one
    product = (ffn.w_in if second else ffn.w_gate or ffn.w_in).forward(x.to(ffn.dtype())).float()
    if ffn.w_gate is ffn.w_in:  # one matrix with the gate's rows first
        product = product.chunk(2, -1)[int(second)]
    name = ffn.activation
    if not second or name.endswith("_both"):
        product = activate(name.removesuffix("_both"), product)
    return (product.abs() * t["worth"][int(second)]).unflatten(1, (ffn.experts, -1)).sum(2)


ROUTERS = {"linear": affine, "ridge": affine, "unbiased": affine, "gate-rows": affine, "mlp": mlp,
           "low-rank": low_rank, "regression": regression, "similarity": similarity,
           "representative": representative, "exemplar": representative, "sketch": sketch,
           "first-product": first_product}


class Experts:
    """The experts of one FFN. Everything but the products of the FFN is computed in F32."""

    def __init__(self, plan, tensors, find):
        self.router = plan["router"]  # None: every expert runs
        self.activation = plan["activation"]
        self.experts, self.shared, self.selected = (
            plan[key] for key in ("experts", "shared", "selected"))
        self.threshold = plan["threshold"]  # a score that is needed, or None
        self.of_best = plan["of_best"]  # a share of the token's best score that is needed, or None
        prefix = plan["name"] + "."
        self.tensors = {name[len(prefix):]: tensor for name, tensor in tensors.items()
                        if name.startswith(prefix)}
        self.w_in, self.w_out = find(plan["w_in"]), find(plan["w_out"])
        self.w_gate = find(plan["w_gate"]) if plan["w_gate"] else None
        self.w_in.register_forward_pre_hook(self.choose)
        self.w_out.register_forward_pre_hook(self.leave_out)
        self.w_out.register_forward_hook(self.stand_in)

    def dtype(self):
        return self.w_in.weight.dtype

    def choose(self, module, inputs):
        """Before W_in: which experts run, Bool [tokens, experts]."""
        self.x = inputs[0].flatten(0, -2).float()
        if self.tensors and next(iter(self.tensors.values())).device != self.x.device:
            self.tensors = {name: t.to(self.x.device) for name, t in self.tensors.items()}
        if self.router is None:
            self.runs = None
            return
        with torch.no_grad():
            t = {name.removeprefix("router."): tensor for name, tensor in self.tensors.items()}
            scores = ROUTERS[self.router](self, t, self.x)
            routed = scores[:, self.shared:]
            # Of experts that score alike the first ones run, as in moefy.
            best = routed.argsort(dim=1, descending=True, stable=True)[:, :self.selected]
            self.runs = torch.zeros_like(scores, dtype=torch.bool)
            self.runs.scatter_(1, best + self.shared, True)
            if self.threshold is not None:
                self.runs &= scores >= self.threshold
            if self.of_best is not None:
                most = routed.amax(dim=1, keepdim=True)
                least = torch.where(most > 0, torch.minimum(most, self.of_best * most), most)
                self.runs &= scores >= least
            self.runs[:, :self.shared] = True

    def leave_out(self, module, inputs):
        """Before W_out: neurons that do not run put in nothing."""
        neurons = inputs[0]
        if self.runs is not None:
            by_expert = neurons.flatten(0, -2).unflatten(1, (self.experts, -1))
            neurons = by_expert.masked_fill(~self.runs.unsqueeze(2), 0).view(neurons.shape)
        if "least" in self.tensors:  # what a neuron has to give, [neurons]
            neurons = neurons.masked_fill(neurons.abs() < self.tensors["least"], 0)
        return (neurons, *inputs[1:])

    def stand_in(self, module, inputs, output):
        """Behind W_out: adds what stands in for the experts that do not run."""
        t, added = self.tensors, None
        if self.runs is not None and "compensation" in t:
            added = (~self.runs).float() @ t["compensation"]
        if "correction.up" in t:
            more = linear(linear(self.x, t["correction.down"]), t["correction.up"],
                          t["correction.bias"])
            added = more if added is None else added + more
        self.x = self.runs = None
        return output if added is None else output + added.view(output.shape).to(output.dtype)


def module_finder(model):
    """Finds modules by the names of a checkpoint, which may lack the model's prefix or have one."""
    modules = dict(model.named_modules())

    def find(name):
        fits = [known for known in modules if known == name or known.endswith("." + name)
                or (known and name.endswith("." + known))]
        if not fits:
            hint = ("; Transformers 5 keeps the experts of a mixture in one tensor, use 4"
                    if ".experts." in name else "")
            raise ValueError(f"the model has no part {name!r}, which {TENSORS} is for{hint}")
        return modules[max(fits, key=len)]

    return find


class Moefied:
    """Puts experts into a model that from_pretrained has read, and keeps them when it is saved."""

    @classmethod
    def from_pretrained(cls, directory, *arguments, **options):
        read = super().from_pretrained(directory, *arguments, **options)
        model = read[0] if isinstance(read, tuple) else read  # with output_loading_info
        hub = {key: options[key] for key in HUB_OPTIONS if options.get(key) is not None}
        tensors = load_file(cached_file(directory, TENSORS, **hub))
        find = module_finder(model)
        model.moefy_experts = [Experts(plan, tensors, find) for plan in model.config.moefy_experts]
        model.moefy_tensors = tensors
        return read

    def save_pretrained(self, directory, *arguments, **options):
        super().save_pretrained(directory, *arguments, **options)
        save_file(self.moefy_tensors, os.path.join(directory, TENSORS))
        shutil.copy(__file__, os.path.join(directory, "modeling_moefy.py"))


def share_conversions(name, base):
    """Transformers 5 renames tensors of some models while it reads them, for its own classes alone."""
    try:
        from transformers.conversion_mapping import (get_checkpoint_conversion_mapping,
                                                     register_checkpoint_conversion_mapping)
    except ImportError:
        return
    conversions = (get_checkpoint_conversion_mapping(base.__name__)
                   or get_checkpoint_conversion_mapping(base.config_class.model_type))
    if conversions:
        register_checkpoint_conversion_mapping(name, conversions, overwrite=True)


def __getattr__(name):
    """MoefyBertModel and so on: Transformers' class of that name, with experts."""
    base = getattr(transformers, name.removeprefix("Moefy"), None)
    if base is None or not name.startswith("Moefy"):
        raise AttributeError(f"{__name__} has no {name!r}, and Transformers no such class")
    share_conversions(name, base)
    globals()[name] = type(name, (Moefied, base), {"__module__": __name__})
    return globals()[name]
