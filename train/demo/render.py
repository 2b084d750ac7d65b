"""Rendering with Mitsuba. The only module that knows the renderer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from train.demo.canvas import FloatArray
from train.demo.mesh import Skin, Surface
from train.demo.scene import Camera, Scene, Softbox, Vector

_SAMPLES_PER_PIXEL = 4
_LIGHT_SAMPLES = 1


class Renderer:
    """Turns scenes into linear images, on one thread, always alike."""

    def __init__(self) -> None:
        import drjit
        import mitsuba

        mitsuba.set_variant("scalar_rgb")
        # Poles of a surface of revolution make it warn about every single mesh.
        mitsuba.set_log_level(mitsuba.LogLevel.Error)
        # One thread: the processes run side by side, and sums keep their order.
        drjit.set_thread_count(1)
        self._mi: Any = mitsuba

    def render(self, scene: Scene, seed: int) -> FloatArray:
        """Take a picture: linear RGB, float32 `[height, width, 3]`, at least 0.

        Args:
            seed: Of the renderer's noise, 0 to 2**32 - 1.
        """
        parts: dict[str, Any] = {
            "type": "scene",
            "integrator": self._integrator(),
            "sensor": self._sensor(scene.camera),
        }
        for k, surface in enumerate(scene.surfaces):
            parts[f"surface{k}"] = self._mesh(surface, scene.ambient)
        for k, light in enumerate(scene.lights):
            parts[f"light{k}"] = self._light(light)
        loaded = self._mi.load_dict(parts)
        image = self._mi.render(loaded, spp=_SAMPLES_PER_PIXEL, seed=seed)
        return np.maximum(np.array(image, dtype=np.float32)[..., :3], 0)

    def _integrator(self) -> dict[str, Any]:
        return {"type": "direct", "emitter_samples": _LIGHT_SAMPLES, "bsdf_samples": 0}

    def _sensor(self, camera: Camera) -> dict[str, Any]:
        pose = self._mi.ScalarTransform4f().look_at(
            origin=list(camera.origin), target=list(camera.target), up=list(camera.up)
        )
        return {
            "type": "perspective",
            "fov": camera.fov,
            "fov_axis": "x",
            "to_world": pose,
            "near_clip": 0.05,
            "far_clip": 500.0,
            "film": {
                "type": "hdrfilm",
                "width": camera.width,
                "height": camera.height,
                "pixel_format": "rgb",
                "component_format": "float32",
                "rfilter": {"type": "box"},
            },
            "sampler": {"type": "multijitter", "sample_count": _SAMPLES_PER_PIXEL},
        }

    def _light(self, light: Softbox) -> dict[str, Any]:
        distance = math.dist(light.position, (0, 0, 0))
        area = (2 * light.size) ** 2
        pose = self._mi.ScalarTransform4f().look_at(
            origin=list(light.position), target=[0, 0, 0], up=[0, 0.01, 1]
        ) @ self._mi.ScalarTransform4f().scale(light.size)
        radiance = [value * distance**2 / area for value in light.irradiance]
        return {
            "type": "rectangle",
            "to_world": pose,
            "emitter": {
                "type": "area",
                "radiance": self._rgb(radiance),
                "sampling_weight": sum(light.irradiance) / 3,
            },
        }

    def _rgb(self, values: Any) -> dict[str, Any]:
        return {"type": "rgb", "value": [float(v) for v in values]}

    def _material(self, skin: Skin) -> Any:
        texture = {
            "type": "bitmap",
            "bitmap": self._mi.Bitmap(np.ascontiguousarray(skin.albedo)),
            "raw": True,
        }
        if skin.specular <= 0 and skin.metallic <= 0:
            return self._mi.load_dict({"type": "diffuse", "reflectance": texture})
        return self._mi.load_dict(
            {
                "type": "principled",
                "base_color": texture,
                "roughness": skin.roughness,
                "metallic": skin.metallic,
                "specular": skin.specular,
            }
        )

    def _glow(self, skin: Skin, ambient: Vector) -> Any:
        """Light from all round, as a surface gives it back where nothing shadows it.

        A luminous surrounding would have to be sampled, and at a few samples per pixel
        most of the noise would be its; a faint glow of the surfaces has none. It is
        never chosen as a light, so surfaces do not light each other.
        """
        share = 1 - 0.6 * skin.metallic
        radiance = skin.albedo[::2, ::2] * (np.asarray(ambient, np.float32) * np.float32(share))
        return self._mi.load_dict(
            {
                "type": "area",
                "radiance": {
                    "type": "bitmap",
                    "bitmap": self._mi.Bitmap(np.ascontiguousarray(radiance)),
                    "raw": True,
                },
                "sampling_weight": 0.0,
            }
        )

    def _mesh(self, surface: Surface, ambient: Vector) -> Any:
        properties = self._mi.Properties()
        properties["bsdf"] = self._material(surface.skin)
        properties["emitter"] = self._glow(surface.skin, ambient)
        mesh = self._mi.Mesh(
            "surface",
            len(surface.positions),
            len(surface.faces),
            has_vertex_normals=True,
            has_vertex_texcoords=True,
            props=properties,
        )
        fields = self._mi.traverse(mesh)
        fields["vertex_positions"] = surface.positions.ravel()
        fields["faces"] = surface.faces.astype(np.uint32).ravel()
        fields["vertex_texcoords"] = surface.uv.ravel()
        fields.update()
        # New positions make the library compute normals, with a crease at the seam;
        # they are replaced only after that.
        fields["vertex_normals"] = surface.normals.ravel()
        fields.update()
        return mesh
