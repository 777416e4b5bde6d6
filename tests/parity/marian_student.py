"""Prints what marian_student_test.cpp expects: Marian's graph of a student with SSRU, in numpy, on
weights that both make by one formula. Run it with numpy alone: python3 marian_student.py"""

import numpy

VOCAB, WIDTH, HEADS, ENCODER, DECODER = 13, 8, 2, (2, 12), (2, 10)  # (layers, neurons)
SOURCES = [[3, 7, 2, 9, 0], [5, 1, 0]]
TARGETS = [[4, 4, 11, 0], [6, 12, 3, 8, 0]]


def shapes():
    """The tensors by name."""
    made = {"Wemb": (VOCAB, WIDTH), "decoder_ff_logit_out_b": (VOCAB,)}

    def attention(prefix):
        for letter in "qkvo":
            made[f"{prefix}_W{letter}"] = (WIDTH, WIDTH)
            made[f"{prefix}_b{letter}"] = (WIDTH,)
        norm(f"{prefix}_Wo_ln")

    def norm(prefix):
        made[f"{prefix}_scale"] = made[f"{prefix}_bias"] = (WIDTH,)

    for side, (layers, neurons) in (("encoder", ENCODER), ("decoder", DECODER)):
        for layer in range(1, layers + 1):
            prefix = f"{side}_l{layer}"
            if side == "encoder":
                attention(f"{prefix}_self")
            else:
                made[f"{prefix}_rnn_W"] = made[f"{prefix}_rnn_Wf"] = (WIDTH, WIDTH)
                made[f"{prefix}_rnn_bf"] = (WIDTH,)
                norm(f"{prefix}_rnn_ffn_ln")
                attention(f"{prefix}_context")
            made[f"{prefix}_ffn_W1"], made[f"{prefix}_ffn_b1"] = (WIDTH, neurons), (neurons,)
            made[f"{prefix}_ffn_W2"], made[f"{prefix}_ffn_b2"] = (neurons, WIDTH), (WIDTH,)
            norm(f"{prefix}_ffn_ffn_ln")
    return made


def weights():
    """Element k of the t-th tensor in the order of names, both from 1, is the formula below."""
    made = {}
    for place, (name, shape) in enumerate(sorted(shapes().items()), start=1):
        count = numpy.arange(1, numpy.prod(shape) + 1, dtype=numpy.float64)
        noise = 43758.5453 * numpy.sin(12.9898 * count + 78.233 * place)
        values = noise - numpy.floor(noise) - 0.5
        made[name] = (values + name.endswith("_scale")).reshape(shape)
    return made


W = weights()


def linear(x, prefix, letter):
    return x @ W[f"{prefix}_W{letter}"] + W[f"{prefix}_b{letter}"]


def norm(x, prefix):
    x = x - x.mean(-1, keepdims=True)
    return (x / numpy.sqrt((x**2).mean(-1, keepdims=True) + 1e-9) * W[f"{prefix}_scale"]
            + W[f"{prefix}_bias"])


def attend(x, memory, prefix):
    dim = WIDTH // HEADS
    heads = []
    for head in range(HEADS):
        part = slice(head * dim, (head + 1) * dim)
        q, k, v = (linear(states, prefix, letter)[:, part]
                   for states, letter in ((x, "q"), (memory, "k"), (memory, "v")))
        scores = q @ k.T / numpy.sqrt(dim)
        shares = numpy.exp(scores - scores.max(-1, keepdims=True))
        heads.append(shares / shares.sum(-1, keepdims=True) @ v)
    return norm(x + linear(numpy.concatenate(heads, 1), prefix, "o"), f"{prefix}_Wo_ln")


def feed_forward(x, prefix):
    y = linear(numpy.maximum(linear(x, f"{prefix}_ffn", "1"), 0), f"{prefix}_ffn", "2")
    return norm(x + y, f"{prefix}_ffn_ffn_ln")


def position(index):
    angles = index * numpy.exp(-numpy.arange(WIDTH // 2) * numpy.log(10000) / (WIDTH // 2 - 1))
    return numpy.concatenate([numpy.sin(angles), numpy.cos(angles)])


def logits(source, target):
    """[tokens, vocabulary], for each token of the target the scores of all, given those before."""
    x = numpy.stack([W["Wemb"][token] * numpy.sqrt(WIDTH) + position(i)
                     for i, token in enumerate(source)])
    for layer in range(1, ENCODER[0] + 1):
        x = feed_forward(attend(x, x, f"encoder_l{layer}_self"), f"encoder_l{layer}")
    memory, cells, out = x, [numpy.zeros(WIDTH)] * DECODER[0], []
    embedding = numpy.zeros(WIDTH)
    for i, token in enumerate(target):
        x = (embedding * numpy.sqrt(WIDTH) + position(i))[None]
        for layer in range(1, DECODER[0] + 1):
            prefix = f"decoder_l{layer}"
            forget = 1 / (1 + numpy.exp(-linear(x, f"{prefix}_rnn", "f")[0]))
            cell = forget * cells[layer - 1] + (1 - forget) * (x @ W[f"{prefix}_rnn_W"])[0]
            cells[layer - 1] = cell
            x = norm(x + numpy.maximum(cell, 0), f"{prefix}_rnn_ffn_ln")
            x = feed_forward(attend(x, memory, f"{prefix}_context"), prefix)
        out.append(x[0] @ W["Wemb"].T + W["decoder_ff_logit_out_b"])
        embedding = W["Wemb"][token]
    return numpy.stack(out)


def greedy(source, longest):
    text = []
    while len(text) < longest and (not text or text[-1] != 0):
        text.append(int(logits(source, text + [0])[-1].argmax()))
    return text


for source, target in zip(SOURCES, TARGETS):
    for row in logits(source, target):
        print("{" + ", ".join(f"{value:.5f}" for value in row) + "},")
    print(greedy(source, 8))
