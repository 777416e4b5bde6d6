"""What is compared with what. A case makes its models and says who takes turns; whoever does times
itself and adds that to the table."""

import random

import numpy as np

import checkpoints
import ct2_models
from checkpoints import made
from rivals import NAMES, Ct2Encoder, Ct2Generator, Ct2Translator, LlamaCpp, OnnxEncoder

# CTranslate2's names of compute types, and ours.
FORMAT = {"float32": "f32", "int8": "int8"}
# The formats of rivals that each of ours is compared with. Encoders have no rival in 4 bits;
# language models are compared across 8 and 4 bits, which people choose between.
ENCODER_RIVALS = {"f32": ["f32"], "int8": ["int8"], "int4": ["int8"]}
DECODER_RIVALS = {"f32": ["f32"], "int8": ["int8", "int4"], "int4": ["int4", "int8"]}


class Case:
    """entrants: functions of the table, called in turns. checks: functions that compare what the
    programs compute, and return sentences."""

    def __init__(self, title, note=""):
        self.title, self.note, self.entrants, self.checks = title, note, [], []


def percent(ratio):
    return f"{100 * ratio:.0f} %"


def add_model(case, options, models, phases, rivals, *lengths):
    """moefy bench MODEL --end-to-end: one process per model and turn. models: (directory, ratio or
    None for dense). phases: what each is called in the table. rivals: formats, of each of ours."""
    def enter(model, ratio):
        split = ([] if ratio is None
                 else ["--selection", options.selection, "--ffn-ratio", ratio])

        def turn(table):
            result = options.moefy("bench", model, "--end-to-end", "--weights",
                                   ",".join(options.weights), "--repetitions",
                                   options.repetitions, *split, *lengths)
            for row in result["rows"]:
                if row["phase"] in phases:
                    name = "dense" if ratio is None else percent(ratio)
                    table.add(phases[row["phase"]], f"moefy {row['weights']}, {name}",
                              row["ms"]["median"], weights=row["weights"],
                              rivals=rivals[row["weights"]])
        case.entrants.append(turn)
    for model, ratio in models:
        enter(model, ratio)


# T5.

T5_SHAPES = ("t5-small", "t5-base", "t5-large")
T5_TEXTS, T5_TOKENS, T5_PROMPT, T5_COUNT = 8, 128, 32, 32


def t5(options):
    """Encoder and decoder of T5's shape, against CTranslate2."""
    model = made(options.shape, "model.safetensors",
                 lambda d: checkpoints.write_random_t5(options.shape, d))
    directories = {
        "encoder": made(model.name + "-encoder-ct2", "model.bin",
                        lambda d: ct2_models.write_t5_encoder(model, d)),
        "decoder": made(model.name + "-ct2", "model.bin", lambda d: ct2_models.write_t5(model, d))}
    moe = checkpoints.split(options.moefy.program, model, options.expert_size)
    case = Case(f"{options.shape}'s shape, random weights")
    encoding = f"encoder, {T5_TEXTS} x {T5_TOKENS} tokens"
    decoding = "decoder, a token"
    random.seed(0)
    batch = [[random.randrange(3, 30000) for _ in range(T5_TOKENS)] for _ in range(T5_TEXTS)]
    prompt = batch[0][:T5_PROMPT]
    rivals = {}

    def get(kind):
        """Encoder and decoder, made when they are first timed."""
        if kind not in rivals:
            rivals[kind] = (Ct2Encoder(directories["encoder"], kind, options.threads),
                            Ct2Translator(directories["decoder"], kind, options.threads))
            rivals[kind][0].run(batch)  # warms up
            rivals[kind][1].greedy(prompt, 2)
        return rivals[kind]

    def enter(kind):
        def turn(table):
            encoder, decoder = get(kind)
            table.add(encoding, encoder.name, encoder.time([batch]), weights=FORMAT[kind])
            table.add(decoding, decoder.name, decoder.time_token(prompt, T5_COUNT),
                      weights=FORMAT[kind])
        case.entrants.append(turn)

    for kind in FORMAT:
        enter(kind)
    models = [(model, None), (moe, options.ratio)]
    for phase, what, lengths in (("encode", encoding, (T5_TEXTS, T5_TOKENS, 1)),
                                 ("decode", decoding, (1, T5_PROMPT, T5_COUNT + 1))):
        add_model(case, options, models, {phase: what}, ENCODER_RIVALS, "--batch", lengths[0],
                  "--prompt-tokens", lengths[1], "--new-tokens", lengths[2])

    def check():
        """How many of the tokens that CTranslate2 chooses our model in F32 would choose, too."""
        chosen = get("float32")[1].greedy(prompt, T5_COUNT)
        logits = options.moefy.outputs(model, [prompt],
                                       decoder_input_ids=[[0] + chosen[:-1]])["logits"][0]
        same = int((logits.argmax(-1) == np.array(chosen)).sum())
        return [f"CTranslate2 F32: {same} of the {T5_COUNT} tokens that it chooses moefy's F32 "
                "chooses, too"]
    case.checks.append(check)
    return case


# Encoders of BERT's layout.

def bert(options):
    """BERT-base's shape, many texts and one, against CTranslate2 and ONNX Runtime."""
    model = made("bert-base", "model.safetensors",
                 lambda d: checkpoints.write_random_bert(checkpoints.BERT_BASE, d))
    case = Case("BERT-base's shape, random weights")
    encoders = Encoders(options, case, model, options.ratio)
    for rows, tokens in [(32, 128), (1, 128)]:
        random.seed(0)
        ids = [[random.randrange(1000, 30000) for _ in range(tokens)] for _ in range(rows)]
        encoders.compare(f"{rows} x {tokens} tokens", [ids], "--batch", rows, "--prompt-tokens",
                         tokens)
    return case


def minilm(options):
    """A small encoder on the lines of a file, in batches by length."""
    if not (options.encoder and options.texts):
        return None
    import tokenizers
    tokenizer = tokenizers.Tokenizer.from_file(str(options.encoder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(512)
    texts = checkpoints.read_texts(options.texts)
    file = checkpoints.CACHE / "texts.txt"
    file.write_text("\n".join(texts) + "\n", encoding="utf-8")
    ids = sorted((encoding.ids for encoding in tokenizer.encode_batch(texts)), key=len)
    batches, current = [], []
    for text in ids:  # padded tokens, as moefy counts them
        if current and len(text) * (len(current) + 1) > 4096:
            batches.append(current)
            current = []
        current.append(text)
    batches.append(current)
    case = Case(options.encoder.name, "Without reading and tokenizing the texts.")
    encoders = Encoders(options, case, options.encoder, options.encoder_ratio)
    encoders.compare(f"{len(texts)} texts, {sum(map(len, ids))} tokens", batches, "--text",
                     file)
    return case


class Encoders:
    """Rivals and moefy with the same weights."""

    def __init__(self, options, case, model, ratio):
        import onnx_models
        self.options, self.case, self.model, self.ratio = options, case, model, ratio
        self.ct2 = made(model.name + "-ct2", "model.bin",
                        lambda d: ct2_models.write_bert(model, d))
        self.onnx = made(model.name + "-onnx", "model-int8.onnx",
                         lambda d: onnx_models.write_bert(model, d))
        self.moe = checkpoints.split(options.moefy.program, model, options.expert_size)
        self.rivals = {}

    def make(self, kind):
        """Both rivals, with their weights as `kind` says; made when they are first timed."""
        if kind not in self.rivals:
            threads = self.options.threads
            self.rivals[kind] = [Ct2Encoder(self.ct2, kind, threads),
                                 OnnxEncoder(self.onnx, kind, threads)]
        return self.rivals[kind]

    def compare(self, what, batches, *lengths):
        """batches of ids, and what tells moefy the same."""
        warm = set()

        def turn(table):
            for kind in FORMAT:
                for rival in self.make(kind):
                    if rival.name not in warm:
                        rival.time(batches)
                        warm.add(rival.name)
                    table.add(what, rival.name, rival.time(batches), weights=FORMAT[kind])
        self.case.entrants.append(turn)
        add_model(self.case, self.options, [(self.model, None), (self.moe, self.ratio)],
                  {"encode": what}, ENCODER_RIVALS, *lengths)
        self.case.checks.append(lambda: self.check(batches[0]))

    def check(self, batch):
        """How far the rivals' states in F32, and ours, are apart: relative root mean square."""
        rivals = self.make("float32")
        states = {rival.name: rival.states(batch) for rival in rivals}
        states["moefy f32"] = self.options.moefy.outputs(self.model, batch)["last_hidden_state"]
        real = np.array([[column < len(text) for column in range(max(map(len, batch)))]
                         for text in batch])
        first = states.pop(rivals[0].name)[real]
        return [f"{name} differs from {rivals[0].name} by "
                f"{np.linalg.norm(found[real] - first) / np.linalg.norm(first):.1e}"
                for name, found in states.items()]


# Decoders.

PROMPT, SHORT, COUNT = 448, 16, 128  # tokens


def smollm(options):
    """A LLaMA checkpoint, its prompt and decoding, against llama.cpp and CTranslate2."""
    if not options.llama:
        return None
    case = Case(options.llama.name)
    decoders = Decoders(options, case, options.llama)
    for kind in FORMAT:
        decoders.add_ct2(kind)
    decoders.add_gguf("Q8_0", "int8")
    decoders.add_gguf("Q4_0", "int4")
    if options.gguf:
        decoders.add_rival(f"llama.cpp {options.gguf.stem.split('.')[-1]} as given", "int4",
                           lambda: LlamaCpp(options.gguf, options.threads))
    decoders.compare(options.llama_ratio)
    return case


def llama1b(options):
    """A LLaMA of TinyLlama's sizes with ReLU, against llama.cpp."""
    model = made("llama-1b-relu", "model.safetensors",
                 lambda d: checkpoints.write_random_llama(checkpoints.LLAMA_1B, d))
    case = Case("LLaMA of 1.1 B parameters with ReLU, random weights",
                "llama.cpp runs it with SiLU, which takes as long.")
    decoders = Decoders(options, case, model)
    decoders.add_gguf("Q8_0", "int8")
    decoders.add_gguf("Q4_0", "int4")
    case.checks.clear()  # for the same reason
    decoders.compare(options.ratio)
    return case


class Decoders:
    """Rivals and moefy with the same weights."""

    def __init__(self, options, case, model):
        self.options, self.case, self.model = options, case, model
        self.moe = checkpoints.split(options.moefy.program, model, options.expert_size)
        random.seed(0)
        self.ids = [random.randrange(100, 30000) for _ in range(PROMPT)]
        self.decoding = f"decoding {COUNT} tokens, a token"
        self.reading = f"prompt of {PROMPT} tokens"
        self.rivals = {}

    def add_gguf(self, kind, weights):
        """llama.cpp, on a file that is made of the checkpoint."""
        import gguf_models
        name = f"model.{kind}.gguf"
        directory = made(f"{self.model.name}-{kind}", name,
                         lambda d: gguf_models.write_llama(self.model, d / name, kind))
        self.add_rival(f"llama.cpp {kind}", weights,
                       lambda: LlamaCpp(directory / name, self.options.threads))

    def add_ct2(self, kind):
        directory = made(self.model.name + "-ct2", "model.bin",
                         lambda d: ct2_models.write_llama(self.model, d))
        self.add_rival(f"CTranslate2 {NAMES[kind]}", FORMAT[kind],
                       lambda: Ct2Generator(directory, kind, self.options.threads))

    def get(self, name, make):
        if name not in self.rivals:
            self.rivals[name] = make()
            self.rivals[name].time_prompt(self.ids[:SHORT])  # warms up
        return self.rivals[name]

    def add_rival(self, name, weights, make):
        def turn(table):
            rival = self.get(name, make)
            table.add(self.decoding, name, rival.time_token(self.ids[:SHORT], COUNT), weights)
            table.add(self.reading, name, rival.time_prompt(self.ids), weights)
        self.case.entrants.append(turn)
        if not name.endswith("as given"):  # its tokens have other names
            self.case.checks.append(lambda: self.check(name, self.get(name, make)))

    def compare(self, ratio):
        models = [(self.model, None), (self.moe, ratio)]
        for phase, what, prompt, count in (("decode", self.decoding, SHORT, COUNT),
                                           ("prefill", self.reading, PROMPT, 1)):
            add_model(self.case, self.options, models, {phase: what}, DECODER_RIVALS,
                      "--prompt-tokens", prompt, "--new-tokens", count)

    def check(self, name, rival):
        """How many of the tokens that a rival chooses our model in F32 would choose, too."""
        prompt, count = self.ids[:SHORT], 32
        chosen = rival.greedy(prompt, count)
        logits = self.options.moefy.outputs(self.model, [prompt + chosen])["logits"][0]
        ours = logits.argmax(-1)[SHORT - 1:-1]
        same = int((ours == np.array(chosen)).sum())
        return [f"{name}: {same} of the {count} tokens that it chooses moefy's F32 chooses, too"]


CASES = {"t5": t5, "bert": bert, "minilm": minilm, "smollm": smollm, "llama-1b": llama1b}
