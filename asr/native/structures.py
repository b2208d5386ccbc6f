"""Packed arrays to the structures that the kernels take. Knows no file and no arithmetic."""

from collections.abc import Sequence
from typing import Any

from asr.model import ModelDimensions
from asr.native.library import CDecoder, CDecoderLayer, CEncoder, CEncoderLayer, CLinear, CNorm
from asr.native.packing import QUARTERS, PackedWeights

__all__ = ["NativeModel"]


class NativeModel:
    """A packed model as the kernels see it; keeps the arrays alive that the structures point into."""

    def __init__(self, packed: PackedWeights, dims: ModelDimensions) -> None:
        self.dims = dims
        self._packed = packed
        self._arrays: list[Any] = []
        self.encoder = self._encoder()
        self.decoder = self._decoder()

    def _address(self, name: str) -> int:
        return self._packed[name].data_ptr()

    def _norm(self, name: str) -> CNorm:
        return CNorm(self._address(f"{name}.weight"), self._address(f"{name}.bias"))

    def _linear(self, name: str, n_out: int | None = None) -> CLinear:
        panels = self._packed[f"{name}.panels"]
        n_panels, depth, width, step = panels.shape
        bias = f"{name}.bias"
        return CLinear(
            panels.data_ptr(),
            self._address(f"{name}.scales"),
            self._address(f"{name}.sums"),
            self._address(bias) if bias in self._packed else None,
            n_out or n_panels * width,
            depth * step,
        )

    def _array(self, items: Sequence[Any]) -> Any:
        array = (type(items[0]) * len(items))(*items)
        self._arrays.append(array)
        return array

    def _block(self, name: str) -> dict[str, Any]:
        return {
            "attention_norm": self._norm(f"{name}.attn_ln"),
            "qkv": self._linear(f"{name}.qkv"),
            "out": self._linear(f"{name}.out"),
            "mlp_norm": self._norm(f"{name}.mlp_ln"),
            "expand": self._linear(f"{name}.expand"),
            "shrink": self._array([self._linear(f"{name}.shrink.{part}") for part in range(QUARTERS)]),
        }

    def _encoder(self) -> CEncoder:
        dims = self.dims
        layers = [CEncoderLayer(**self._block(f"encoder.blocks.{i}")) for i in range(dims.n_audio_layer)]
        cross = [self._linear(f"decoder.blocks.{i}.cross_keys_values") for i in range(dims.n_text_layer)]
        return CEncoder(
            conv1=self._linear("encoder.conv1"),
            conv2=self._linear("encoder.conv2"),
            positions=self._address("encoder.positional_embedding"),
            layers=self._array(layers),
            final_norm=self._norm("encoder.ln_post"),
            cross_keys_values=self._array(cross),
            n_layers=dims.n_audio_layer,
            n_text_layers=dims.n_text_layer,
            width=dims.n_audio_state,
            n_mels=dims.n_mels,
        )

    def _decoder(self) -> CDecoder:
        dims = self.dims
        layers = []
        for i in range(dims.n_text_layer):
            name = f"decoder.blocks.{i}"
            layers.append(
                CDecoderLayer(
                    **self._block(name),
                    cross_norm=self._norm(f"{name}.cross_attn_ln"),
                    cross_query=self._linear(f"{name}.cross_query"),
                    cross_out=self._linear(f"{name}.cross_out"),
                )
            )
        return CDecoder(
            embedding=self._linear("decoder.token_embedding", dims.n_vocab),
            positions=self._address("decoder.positional_embedding"),
            layers=self._array(layers),
            final_norm=self._norm("decoder.ln"),
            n_layers=dims.n_text_layer,
            width=dims.n_text_state,
            n_text_positions=dims.n_text_ctx,
        )
