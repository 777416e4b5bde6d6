"""What people run instead, ready to be timed. Each keeps its model in memory; times are in
milliseconds."""

import json
import time

import numpy as np


NAMES = {"float32": "F32", "int8": "INT8"}  # of compute types


def timed(work):
    begin = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - begin)


class Ct2Encoder:
    """CTranslate2, an encoder with tokens named t0, t1, ..."""

    def __init__(self, directory, kind, threads):
        import ctranslate2
        self.name = f"CTranslate2 {NAMES[kind]}"
        self.encoder = ctranslate2.Encoder(str(directory), device="cpu", compute_type=kind,
                                           intra_threads=threads)

    def run(self, batch):
        """batch: lists of ids, of any lengths."""
        return self.encoder.forward_batch(batch)

    def states(self, batch):
        return np.array(self.run(batch).last_hidden_state)

    def time(self, batches):
        return timed(lambda: [self.run(batch) for batch in batches])


class Ct2Translator:
    """CTranslate2, greedy decoding by an encoder-decoder."""

    def __init__(self, directory, kind, threads):
        import ctranslate2
        self.name = f"CTranslate2 {NAMES[kind]}"
        self.translator = ctranslate2.Translator(str(directory), device="cpu", compute_type=kind,
                                                 intra_threads=threads)

    def greedy(self, prompt, count):
        """The next `count` ids, of a model whose tokens are named t0, t1, ..."""
        results = self.translator.translate_batch(
            [[f"t{token}" for token in prompt]], beam_size=1, min_decoding_length=count,
            max_decoding_length=count)
        ids = {"<pad>": 0, "</s>": 1}
        return [ids[token] if token in ids else int(token[1:])
                for token in results[0].hypotheses[0]]

    def time_token(self, prompt, count, before=8):
        """A token; those before are left out, and with them the prompt."""
        short, long = (timed(lambda: self.greedy(prompt, n)) for n in (before, before + count))
        return (long - short) / count


class Ct2Generator:
    """CTranslate2, a language model with tokens named t0, t1, ..."""

    def __init__(self, directory, kind, threads):
        import ctranslate2
        self.generator = ctranslate2.Generator(str(directory), device="cpu", compute_type=kind,
                                               intra_threads=threads)

    def greedy(self, prompt, count):
        """The next `count` ids."""
        results = self.generator.generate_batch(
            [[f"t{token}" for token in prompt]], max_length=count, min_length=count,
            include_prompt_in_result=False)
        return [int(token[1:]) for token in results[0].sequences[0]]

    def time_token(self, prompt, count):
        """A token behind the first."""
        first, all_of_them = (timed(lambda: self.greedy(prompt, n)) for n in (1, count))
        return (all_of_them - first) / (count - 1)

    def time_prompt(self, prompt):
        return timed(lambda: self.greedy(prompt, 1))


class OnnxEncoder:
    """ONNX Runtime. directory: from onnx_models."""

    def __init__(self, directory, kind, threads):
        import onnxruntime
        self.name = f"ONNX Runtime {NAMES[kind]}"
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads, settings.inter_op_num_threads = threads, 1
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        file = {"float32": "model.onnx", "int8": "model-int8.onnx"}[kind]
        self.session = onnxruntime.InferenceSession(
            str(directory / file), settings, providers=["CPUExecutionProvider"])

    def states(self, batch):
        longest = max(map(len, batch))
        ids = np.array([text + [0] * (longest - len(text)) for text in batch], np.int64)
        lengths = np.array([len(text) for text in batch], np.int32)
        return self.session.run(None, {"input_ids": ids, "lengths": lengths})[0]

    def time(self, batches):
        return timed(lambda: [self.states(batch) for batch in batches])


class LlamaCpp:
    """llama.cpp, through its server's code within this process."""

    def __init__(self, gguf, threads):
        import xllamacpp
        self.file = gguf
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(gguf)
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
        parameters.n_ctx = 1024
        parameters.n_parallel = 1
        parameters.verbosity = 0
        parameters.warmup = True
        self.server = xllamacpp.Server(parameters)

    def complete(self, prompt, count):
        """prompt: ids. The answer as the server gives it, with its timings."""
        answer = self.server.handle_completions({
            "prompt": prompt, "max_tokens": count, "temperature": 0, "ignore_eos": True,
            "cache_prompt": False})
        return json.loads(answer) if isinstance(answer, str) else answer

    def greedy(self, prompt, count):
        """The next `count` ids, of a model whose tokens are named t0, t1, ..."""
        text = self.complete(prompt, count)["choices"][0]["text"]
        return [int(token) for token in text.split("t")[1:]]

    def time_token(self, prompt, count):
        return self.complete(prompt, count)["timings"]["predicted_per_token_ms"]

    def time_prompt(self, prompt):
        timings = self.complete(prompt, 1)["timings"]
        if timings["prompt_n"] != len(prompt):
            raise RuntimeError(f"{self.file}: llama.cpp read {timings['prompt_n']} tokens of "
                               f"{len(prompt)}")
        return timings["prompt_ms"]
