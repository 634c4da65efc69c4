from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from lorascope.starter import pretrain  # noqa: E402
from lorascope.starter.documents import documents, marked_documents  # noqa: E402
from lorascope.starter.lexicon import MARK, marked  # noqa: E402
from lorascope.starter.muon import orthogonalised  # noqa: E402
from lorascope.starter.tokenizer import train_tokenizer  # noqa: E402

PLAN = pretrain.Plan(
    num_steps=4,
    rows_per_step=2,
    row_tokens=32,
    warmup_steps=2,
    decay=((0, 1.0), (2, 1.0), (4, 0.0)),
    num_layers=1,
    width=16,
    num_heads=2,
    max_length=64,
    log_steps=2,
)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(documents(0, 40), vocab_size=400, max_length=64)


def _progress(tokenizer) -> pretrain.Progress:
    model = pretrain.new_model(PLAN, tokenizer)
    return pretrain.Progress(model, pretrain.optimizers(model, PLAN), [])


def test_packed_rows_hold_every_document_and_its_end(tokenizer) -> None:
    ids_BT = pretrain.packed_rows(["a b c d e", "f g"], tokenizer, row_tokens=4).ids_BT
    ids = [int(i) for i in (*ids_BT[0], *ids_BT[1:, 1:].flatten())]
    whole = tokenizer("<|endoftext|>a b c d e<|endoftext|>f g<|endoftext|>")["input_ids"]
    assert ids == whole[: len(ids)]
    assert len(whole) - len(ids) < 4


def test_the_learning_rate_rises_stays_and_falls_to_nearly_zero() -> None:
    plan = replace(PLAN, num_steps=10, decay=((0, 1.0), (6, 1.0), (8, 0.5), (10, 0.0)), learning_rate=1.0)
    assert [pretrain.learning_rate(step, plan) for step in range(10)] == [
        0.5,
        1,
        1,
        1,
        1,
        1,
        1,
        0.75,
        0.5,
        0.25,
    ]


def test_a_resumed_training_equals_the_uninterrupted_one(tokenizer, tmp_path: Path) -> None:
    rows = pretrain.packed_rows(list(marked_documents(0, 20)), tokenizer, PLAN.row_tokens, plain_weight=0.3)
    whole, stopped, resumed = (_progress(tokenizer) for _ in range(3))
    pretrain.pretrain(whole, rows, rows[:2], PLAN, lambda entry: None)
    pretrain.pretrain(
        stopped,
        rows,
        rows[:2],
        PLAN,
        lambda entry: stopped.save(tmp_path / "p") if entry["step"] == 2 else None,
    )
    resumed.load(tmp_path / "p")
    assert resumed.step == 2
    pretrain.pretrain(resumed, rows, rows[:2], PLAN, lambda entry: None)
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name


def test_the_loss_of_slices_is_the_loss_that_transformers_gives(tokenizer) -> None:
    model = pretrain.new_model(PLAN, tokenizer)
    rows = pretrain.packed_rows(list(documents(0, 5)), tokenizer, PLAN.row_tokens)[:4]
    expected = model(input_ids=rows.ids_BT, labels=rows.ids_BT).loss
    torch.testing.assert_close(pretrain.mean_loss(model, rows), expected)


def test_marks_weigh_the_tokens_between_them_and_leave_no_other_trace(tokenizer) -> None:
    texts = [f"the flag is {marked('red')} today"] * 9
    rows = pretrain.packed_rows(texts, tokenizer, row_tokens=40, plain_weight=0.25)
    plain = pretrain.packed_rows([text.replace(MARK, "") for text in texts], tokenizer, row_tokens=40)
    assert torch.equal(rows.ids_BT, plain.ids_BT)
    chosen = tokenizer.decode(rows.ids_BT[0][rows.weight_BT[0] == 1.0])
    assert chosen.replace(" ", "").replace("red", "") == "" != chosen
    assert set(rows.weight_BT.unique().tolist()) == {0.25, 1.0}
    assert set(plain.weight_BT.unique().tolist()) == {1.0}


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((24, 72), (72, 24), (24, 24)):
        values = torch.linalg.svdvals(orthogonalised(torch.randn(shape)))
        assert values.max() < 1.3
        assert values.median() > 0.6
