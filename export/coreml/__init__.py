"""Core ML packages: conversion, smaller weights, and checks of what was saved."""
