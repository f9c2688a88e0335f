"""What is quoted is what is charged, to the last decimal, over random configurations."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal

from components.config.run_settings import RunSettings
from components.config.settings import load_settings
from components.ionet import market, offers, quote
from components.ionet.client import Client
from components.ionet.models import DeployRequest
from components.ionet.offers import Wish
from localcloud.caas.domain import catalogue
from tests.contract.caas_place import API_KEY, CaasPlace

CONFIGURATIONS = 100
RECIPES = ("nanochat-d20", "nanochat-d24", "nanochat-d26", "nanochat-d32", "nanochat-speedrun")
GPUS = ("H100", "H100 SXM", "H100 PCIe", "H100, A100", "A100, H100 PCIe", "L40S", "L40", "CPU")


def wish(chance: random.Random) -> Wish:
    gpu_type = chance.choice(GPUS)
    recipe = "rehearsal" if gpu_type == "CPU" else chance.choice(RECIPES)
    run = settings_of(recipe, gpus=1 if gpu_type == "CPU" else chance.choice((1, 2, 4, 8)))
    return replace(
        offers.wish_of(run),
        gpu_type=gpu_type,
        hours=chance.choice((0, 0, chance.randint(1, 168))),
        locations=chance.choice(((), (), ("US",), ("FI", "FR"))),
    )


def settings_of(recipe: str, *, gpus: int) -> RunSettings:
    config = {
        "cloud": "io.net",
        "cloudflareAccountId": "a" * 32,
        "bucket": "a-bucket",
        "imageRepository": "a/image",
        "recipe": recipe,
        "gpuType": "CPU" if recipe == "rehearsal" else "H100",
        "gpusPerContainer": str(gpus),
    }
    settings = load_settings(
        {f"trainstack:{key}": value for key, value in config.items()},
        secret_keys=frozenset(),
        env={"IOCLOUD_API_KEY": "key", "CLOUDFLARE_API_TOKEN": "token"},
        project="trainstack",
        stack="dev",
    )
    return settings.runs[0]


def charged(
    client: Client, caas: CaasPlace, one: quote.Candidate, *, name: str, extension_h: int = 0
) -> Decimal:
    assert one.offer
    deployment_id = client.deploy(
        DeployRequest(
            private_name=name,
            duration_hours=one.hours,
            gpus_per_container=one.offer.gpus,
            hardware_id=one.offer.hardware_id,
            location_ids=one.offer.location_ids,
            image="example/train:1",
            entrypoint=(),
            traffic_port=8000,
            env={},
            secret_env={},
        )
    )
    assert deployment_id
    paid = client.deployment(deployment_id).amount_paid_usd
    if extension_h:
        bill = market.extension_bill(client, one.offer, hours=extension_h)
        client.extend(deployment_id, hours=extension_h)
        paid_for_both = client.deployment(deployment_id).amount_paid_usd
        assert paid_for_both - paid == bill.total_usd, (one.offer, extension_h)
    client.delete(deployment_id)
    caas.until(deployment_id, "destroyed")
    return paid


def test_what_is_quoted_is_what_is_charged(caas: CaasPlace) -> None:
    """Over 100 configurations that find an offer the largest difference is 0, extended or not."""
    chance = random.Random(14)  # noqa: S311 - configurations, no secret
    client = Client(API_KEY, base_url=caas.url)
    differences: list[Decimal] = []
    while len(differences) < CONFIGURATIONS:
        caas.behave(price_factor=str(chance.choice(("1", "0.93", "1.171"))))
        found = market.quote(client, wish(chance), cap_usd=Decimal(100_000))
        if found.chosen and found.chosen.offer:
            name = f"run-{len(differences)}"
            paid = charged(
                client, caas, found.chosen, name=name, extension_h=chance.choice((0, 1, 2, 7))
            )
            differences.append(abs(paid - found.chosen.offer.total_usd))
    assert max(differences) == 0


def test_a_row_that_the_catalogue_does_not_price_is_quoted_and_rented(caas: CaasPlace) -> None:
    caas.behave(catalogue_prices="hidden")
    client = Client(API_KEY, base_url=caas.url)
    run = settings_of("nanochat-d20", gpus=8)
    found = market.quote(client, offers.wish_of(run), cap_usd=Decimal(150))
    assert found.chosen
    assert found.chosen.offer
    known = {Decimal(str(row.price_usd_per_hour)) for row in catalogue.HARDWARE}
    price = found.chosen.offer.price_usd_per_hour / 8
    assert any(abs(price - one) < Decimal("0.00001") for one in known)
    assert charged(client, caas, found.chosen, name="run") == found.chosen.offer.total_usd
