"""The character model: its shapes, its independent twin in numpy, sampling and what it refuses."""

import itertools

import numpy as np
import pytest

import tinygrad_rnn as tr
from tinygrad_rnn.train.charmodel import CELLS, CharModel, parameter_shapes
from tinygrad_rnn.train.text import TextError, Vocabulary

VOCABULARY = Vocabulary("abcde")


def model(cell="lstm", hidden_size=8, layers=1, seed=0, dtype=np.float64):
    return CharModel(VOCABULARY, cell, hidden_size, layers, dtype=dtype, rng=np.random.default_rng(seed))


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def by_hand(weights, cell, indices):
    """Logits (time, V) of one stream, gate by gate."""
    hidden = weights["rnn.weight_hh_l0"].shape[1]
    h, c, logits = np.zeros(hidden), np.zeros(hidden), []
    for index in indices:
        x = weights["embedding.weight"][index]
        a = weights["rnn.weight_ih_l0"] @ x + weights["rnn.bias_ih_l0"]
        b = weights["rnn.weight_hh_l0"] @ h + weights["rnn.bias_hh_l0"]
        if cell == "rnn":
            h = np.tanh(a + b)
        elif cell == "lstm":
            i, f, g, o = np.split(a + b, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        else:
            (ra, za, na), (rb, zb, nb) = np.split(a, 3), np.split(b, 3)
            z = sigmoid(za + zb)
            h = (1 - z) * np.tanh(na + sigmoid(ra + rb) * nb) + z * h
        logits.append(weights["linear.weight"] @ h + weights["linear.bias"])
    return np.array(logits)


@pytest.mark.parametrize("cell", CELLS)
def test_logits_are_those_of_the_formulas(cell):
    made = model(cell)
    indices = np.array([[0, 3], [1, 3], [4, 0], [2, 2]])  # (time, batch)
    logits, _ = made(indices)
    for stream in range(2):
        expected = by_hand(made.state_dict(), cell, indices[:, stream])
        np.testing.assert_allclose(logits.data[:, stream], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("cell", CELLS)
def test_a_text_read_in_two_parts_is_the_same_text(cell):
    made = model(cell, layers=2)
    indices = np.arange(12).reshape(6, 2) % 5
    whole, last = made(indices)
    first, state = made(indices[:2])
    second, state = made(indices[2:], state)
    np.testing.assert_allclose(np.concatenate([first.data, second.data]), whole.data, rtol=1e-13)
    for a, b in zip(leaves(state), leaves(last), strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-13)


def leaves(state):
    return list(state) if isinstance(state, tuple) else [state]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", [1, 3])
def test_shapes_are_known_before_the_model_is_made(cell, layers):
    made = CharModel(VOCABULARY, cell, 6, layers, rng=np.random.default_rng(0))
    actual = {name: array.shape for name, array in made.state_dict().items()}
    assert dict(parameter_shapes(5, cell, 6, layers)) == actual


def test_the_same_generator_makes_the_same_model():
    first, second, third = (model(seed=seed).state_dict() for seed in (0, 0, 1))
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    assert any((first[name] != third[name]).any() for name in first)


def test_float32_all_the_way():
    logits, state = model(dtype=np.float32)(np.array([[0], [1]]))
    assert logits.dtype == np.float32
    assert {leaf.dtype for leaf in leaves(state)} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cell": "mgu"}, "CharModel: cell must be one of 'lstm', 'gru', 'rnn', got 'mgu'"),
        ({"hidden_size": 0}, "CharModel: hidden_size must be at least 1, got 0"),
        ({"layers": 0}, "CharModel: num_layers must be at least 1, got 0"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        model(**settings)


def test_a_sample_has_the_length_and_is_reproducible():
    made = model()
    sample = made.sample("abc", 40, rng=np.random.default_rng(3))
    assert len(sample) == 40
    assert set(sample) <= set(VOCABULARY.characters)
    assert sample == made.sample("abc", 40, rng=np.random.default_rng(3))
    assert sample != made.sample("abc", 40, rng=np.random.default_rng(4))
    assert made.sample("abc", 0) == ""


def test_temperature_zero_takes_the_most_probable():
    made = model()
    for param in made.parameters():
        param.data = param.data * 5.0  # the characters decide, not the biases
    chosen = set()
    for prompt in map("".join, itertools.product("abcde", repeat=2)):
        text = prompt
        chosen.add(made.sample(prompt, 1, temperature=0.0))
        for character in made.sample(prompt, 3, temperature=0.0):
            logits, _ = made(VOCABULARY.encode(text)[:, np.newaxis])
            assert character == VOCABULARY.characters[int(logits.data[-1, 0].argmax())]
            text += character
    assert len(chosen) > 1


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_characters_are_drawn_from_the_tempered_softmax(temperature):
    made = model()
    made.linear.bias.data = np.array([0.0, 1.0, -1.0, 2.0, 0.5])
    logits, _ = made(VOCABULARY.encode("ab")[:, np.newaxis])
    weights = np.exp(logits.data[-1, 0] / temperature)
    rng = np.random.default_rng(0)
    drawn = "".join(made.sample("ab", 1, temperature, rng) for _ in range(3000))
    share = [drawn.count(character) / len(drawn) for character in VOCABULARY.characters]
    np.testing.assert_allclose(share, weights / weights.sum(), atol=0.03)


def test_a_tiny_temperature_is_the_greedy_choice():
    made = model()
    assert made.sample("a", 10, temperature=1e-300) == made.sample("a", 10, temperature=0.0)


def test_an_empty_prompt_begins_anywhere():
    made = model()
    begun = {made.sample("", 3, rng=np.random.default_rng(seed))[0] for seed in range(60)}
    assert begun == set(VOCABULARY.characters)
    assert len(made.sample("", 7)) == 7
    assert made.sample("", 0) == ""


def test_sampling_records_no_graph():
    made = model()
    made.sample("ab", 5)
    assert all(not param.has_grad for param in made.parameters())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("abX", 5), TextError, r"sample: prompt: character 'X' \(U\+0058\) at position 2 is not in"),
        (("ab", -1), ValueError, "sample: length must be at least 0, got -1"),
        (("ab", 5, -0.5), ValueError, "temperature must be finite and at least 0"),
        (("ab", 5, float("nan")), ValueError, "temperature must be finite"),
        (("ab", 5, float("inf")), ValueError, "temperature must be finite"),
    ],
)
def test_wrong_samples_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        model().sample(*arguments)


@pytest.mark.parametrize("cell", CELLS)
def test_a_reading_is_the_same_network_step_by_step(cell):
    """The unrolled graph has the loss and the gradients of the batched call."""
    made = model(cell)
    reading = made.unroll("abcea")
    assert len(reading.losses) == len(reading.unrolled.outputs) == 4
    reading.loss.backward()
    step_by_step = {name: param.grad.copy() for name, param in made.named_parameters().items()}
    made.zero_grad()
    indices = VOCABULARY.encode("abcea")[:, np.newaxis]
    logits, _ = made(indices[:-1])
    loss = tr.cross_entropy(logits, indices[1:], reduction="sum")
    loss.backward()
    assert float(reading.loss) == pytest.approx(float(loss), rel=1e-13)
    for name, param in made.named_parameters().items():
        np.testing.assert_allclose(step_by_step[name], param.grad, rtol=1e-11, atol=1e-14)


def test_a_reading_has_names_for_its_drawing():
    reading = model("gru").unroll("abc")
    names = {node.name for node in tr.Graph.of(reading.loss) if node.name}
    assert names >= {"loss", "L_0", "L_1", "h_0", "h_1", "h_init", "x_0", "embedded", "characters"}
    assert names >= {"embedding.weight", "weight_ih_l0", "weight_hh_l0", "linear.weight", "linear.bias"}


def test_a_reading_needs_two_characters():
    with pytest.raises(TextError, match="at least 2 characters, the text has 1"):
        model().unroll("a")
